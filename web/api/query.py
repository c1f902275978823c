"""``/v4/workflows/{workflowId}/data/query``: one SQL statement over one run, or over two runs of a workflow."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import anyio.to_thread
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import ResultStore
from engine.errors import InvalidRequest
from engine.query.sandbox import MAX_ROWS, ChildCrashed, Statement, StatementResult, prepare, run_statement
from engine.request.formats import FORMATS
from engine.request.statement import StatementRequest, read_params
from web.api.parameters import check_name
from web.api.request_reader import authenticate, read_json_object, wait_for_disconnect
from web.api.row_models import QueryAnswer, QueryColumn, with_rows
from web.container import Services
from web.telemetry import metrics
from web.telemetry.log_context import add_log_fields

_NO_STORE = {"cache-control": "no-store"}
_BodyT = TypeVar("_BodyT", bound="StatementBody")


def _check_previous(value: object) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    raise PydanticCustomError("previous", "must be true, for the run before, or the id of a finished run")


class StatementBody(BaseModel):
    """One statement that reads, its parameters, and the other run that it reads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)

    sql: str = Field(
        min_length=1,
        description="One statement that reads; the table `data` has the rows of the run",
        examples=["SELECT * FROM data LIMIT 10"],
    )
    previous: Annotated[bool | str | SkipJsonSchema[None], BeforeValidator(_check_previous)] = Field(
        None,
        description="Another finished run of the workflow, as the table `previous`: its id, or true for the run before",
    )
    params: dict[str, Any] | SkipJsonSchema[None] = Field(
        None,
        description="The values of the statement's `$name` parameters: strings, numbers, booleans, null, or arrays of "
        "one of these. A string is read as a date where it is compared with one; elsewhere cast it: `$day::DATE`",
        examples=[{"city": "Rome", "least": 1000, "ids": ["a1", "a2"]}],
    )

    def request(self) -> StatementRequest:
        """The statement. Raises InvalidStatement."""
        return StatementRequest(
            self.sql, read_params(self.params or {}), False if self.previous is None else self.previous
        )


class QueryRequest(StatementBody):
    """A statement whose first rows are the response."""

    run_id: str | None = Field(None, description="A finished run; the latest one if left out")
    limit: int = Field(100, ge=1, le=MAX_ROWS, description="The maximum number of rows in the response")
    format: Literal["json", "csv", "jsonl"] = Field(
        "json", description="`csv` and `jsonl` are the rows alone, as in an export; their number is in a header"
    )


async def query(request: Request) -> Response:
    """Answer POST."""
    services: Services = request.app.state.services
    principal = await authenticate(request)
    body = read_body(QueryRequest, await read_json_object(request, principal))
    check_sql_is_on(services)
    find = partial(_find, services.exporter.results, request.path_params["workflow_id"], principal.team, body)
    statement = await anyio.to_thread.run_sync(find)
    add_log_fields(request.scope, run=statement.run.run_id)
    format_ = FORMATS[body.format]
    try:
        answer = await services.queries.run(
            principal.team,
            partial(wait_for_disconnect, request),
            lambda cancel: run_statement(
                statement,
                services.exporter.results,
                limits=services.queries.limits,
                max_rows=body.limit,
                cancel=cancel,
                format_=format_,
            ),
            prepare=prepare,
        )
    except ChildCrashed as crash:
        # `answer_error` logs it, as every error of the service.
        metrics.CRASHES.labels(crash.signal.name).inc()
        raise
    add_log_fields(request.scope, format=format_.name, rows=answer.count, bytes=len(answer.rows))
    if body.format == "json":
        return Response(_with_rows(statement, answer), media_type="application/json", headers=_NO_STORE)
    # These files have no place for what the members of a JSON response say.
    headers = {"x-row-count": str(answer.count), "x-limit-reached": str(answer.more).lower()}
    return Response(answer.rows, media_type=format_.content_type, headers=_NO_STORE | headers)


def check_sql_is_on(services: Services) -> None:
    """Raise InvalidRequest if SQL is disabled."""
    if services.queries.sql == "off":
        raise InvalidRequest("SQL is disabled on this service: use filters, or export the run.", parameter="sql")


def read_body(model: type[_BodyT], values: Mapping[str, object]) -> _BodyT:
    """Return the body of a request. Raises InvalidRequest, which names the first member that is wrong."""
    for name in values:
        check_name(name, [field.alias or name for name, field in model.model_fields.items()])
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        # Within a member, only its alternatives have names.
        name = str(first["loc"][0])
        reason = (
            "must be an object" if first["type"] == "dict_type" else first["msg"].replace("Input should", "must", 1)
        )
        raise InvalidRequest(f"{name}: {reason}.", parameter=name) from error


def _find(results: ResultStore, workflow_id: str, team: str, body: QueryRequest) -> Statement:
    """Return the statement over the runs of a team. Raises InvalidRequest, NotFound or StoreError."""
    statement = body.request()
    run = results.resolve(workflow_id, body.run_id, team)
    return Statement.of(statement, run, results.resolve_previous(run, statement.previous, team))


def _with_rows(statement: Statement, answer: StatementResult) -> bytes:
    body = QueryAnswer(
        workflow_id=statement.run.workflow_id,
        run_id=statement.run.run_id,
        previous_run_id=None if statement.previous is None else statement.previous.run_id,
        columns=[
            QueryColumn(
                name=column.field.name,
                type=column.field.data_type,
                stored_as=column.field.type.sql(),
                duckdb_type=column.duckdb_type,
            )
            for column in answer.columns
        ],
        row_count=answer.count,
        limit_reached=answer.more,
        rows=[],
    )
    return with_rows(body, "rows", answer.rows)
