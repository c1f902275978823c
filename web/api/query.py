"""``/v4/workflows/{workflowId}/data/query``: SQL that people type, over one run."""

from functools import partial

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InvalidRequest
from engine.query.sandbox import MAX_ROWS, ChildCrashed, prepare, run_statement
from web.api.models import AnswerField
from web.api.row_models import QueryAnswer, with_rows
from web.auth.request_auth import disconnected, identify, read_posted
from web.container import Services
from web.telemetry import metrics
from web.telemetry.log_context import note


class QueryRequest(BaseModel):
    """One statement that reads; the rows of the run are called ``data``."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)

    sql: str = Field(min_length=1, description="One statement that reads, over `data`: the rows of the run")
    run_id: str | None = Field(None, description="A finished run; the latest one if left out")
    limit: int = Field(100, ge=1, le=MAX_ROWS, description="The most rows to answer")


async def query(request: Request) -> Response:
    """Answer POST."""
    services: Services = request.app.state.services
    principal = await identify(request)
    asked = _read(await read_posted(request, principal))
    if services.queries.sql == "off":
        raise InvalidRequest("SQL is not served here: use filters, or export the run.", parameter="sql")
    results = services.exporter.results
    run = await anyio.to_thread.run_sync(
        results.resolve, request.path_params["workflow_id"], asked.run_id, principal.team
    )
    note(request.scope, run=run.run_id)
    try:
        answer = await services.queries.run(
            principal.team,
            partial(disconnected, request),
            lambda cancel: run_statement(
                asked.sql,
                run,
                results,
                limits=services.queries.limits,
                max_rows=asked.limit,
                cancel=cancel,
            ),
            prepare=prepare,
        )
    except ChildCrashed as crash:
        # The error is logged where all are that are no caller's fault.
        metrics.CRASHES.labels(crash.signal.name).inc()
        raise
    note(request.scope, rows=answer.count, bytes=len(answer.rows))
    body = QueryAnswer(
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        columns=[AnswerField(name=name, type=type_) for name, type_ in answer.columns],
        row_count=answer.count,
        limit_reached=answer.count == asked.limit,
        rows=[],
    )
    return Response(
        with_rows(body, "rows", answer.rows), media_type="application/json", headers={"cache-control": "no-store"}
    )


def _read(values: object) -> QueryRequest:
    try:
        return QueryRequest.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = ".".join(map(str, wrong["loc"])) or "body"
        raise InvalidRequest(f"{name[:100]}: {wrong['msg']}.", parameter=name[:100]) from error
