"""``/v4/workflows/{workflowId}/data/query``: one SQL statement over one run."""

from functools import partial

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InvalidRequest
from engine.query.sandbox import MAX_ROWS, ChildCrashed, prepare, run_statement
from web.api.request_reader import authenticate, read_json_object, wait_for_disconnect
from web.api.row_models import QueryAnswer, QueryColumn, with_rows
from web.container import Services
from web.telemetry import metrics
from web.telemetry.log_context import add_log_fields


class QueryRequest(BaseModel):
    """One statement that reads; the table ``data`` has the rows of the run."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)

    sql: str = Field(min_length=1, description="One statement that reads; the table `data` has the rows of the run")
    run_id: str | None = Field(None, description="A finished run; the latest one if left out")
    limit: int = Field(100, ge=1, le=MAX_ROWS, description="The maximum number of rows in the response")


async def query(request: Request) -> Response:
    """Answer POST."""
    services: Services = request.app.state.services
    principal = await authenticate(request)
    query_request = _read(await read_json_object(request, principal))
    if services.queries.sql == "off":
        raise InvalidRequest("SQL is disabled on this service: use filters, or export the run.", parameter="sql")
    results = services.exporter.results
    run = await anyio.to_thread.run_sync(
        results.resolve, request.path_params["workflow_id"], query_request.run_id, principal.team
    )
    add_log_fields(request.scope, run=run.run_id)
    try:
        answer = await services.queries.run(
            principal.team,
            partial(wait_for_disconnect, request),
            lambda cancel: run_statement(
                query_request.sql,
                run,
                results,
                limits=services.queries.limits,
                max_rows=query_request.limit,
                cancel=cancel,
            ),
            prepare=prepare,
        )
    except ChildCrashed as crash:
        # `answer_error` logs it, as every error of the service.
        metrics.CRASHES.labels(crash.signal.name).inc()
        raise
    add_log_fields(request.scope, rows=answer.count, bytes=len(answer.rows))
    body = QueryAnswer(
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        columns=[QueryColumn(name=name, type=type_, stored_as=stored_as) for name, type_, stored_as in answer.columns],
        row_count=answer.count,
        limit_reached=answer.more,
        rows=[],
    )
    return Response(
        with_rows(body, "rows", answer.rows), media_type="application/json", headers={"cache-control": "no-store"}
    )


def _read(values: object) -> QueryRequest:
    try:
        return QueryRequest.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = ".".join(map(str, first["loc"])) or "body"
        raise InvalidRequest(f"{name[:100]}: {first['msg']}.", parameter=name[:100]) from error
