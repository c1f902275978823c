"""``POST /v4/workflows/{workflowId}/runs``: the body is published as a run (web/API.md, section 8)."""

import uuid
from contextlib import suppress
from pathlib import Path

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.commits import Commits
from engine.catalog.manifest import Run, State
from engine.common.ids import checked_id
from engine.common.temp_folders import spill_folder
from engine.errors import AlreadyPublished, EngineError, InvalidInput
from engine.publishing.publisher import Publication
from engine.request.formats import FORMATS
from engine.request.request import ExportRequest
from web.api.models import AnswerField, Count, Moment
from web.api.parameters import read_query
from web.api.publishing.parameters import PUBLISH_PARAMETERS, PublishRequest, make_publish_request, name_parameters
from web.api.request_reader import authenticate_publisher
from web.container import Services
from web.http.limits import MAX_QUERY_BYTES
from web.http.receiving import Received, receive_file
from web.telemetry.log_context import add_log_fields


class RunAnswer(BaseModel):
    """A published run. A repeated request gets the same response."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    workflow_id: str
    run_id: str
    state: State
    row_count: Count
    size_bytes: Count = Field(description="Bytes of its Parquet files")
    executed_at: Moment | None = Field(None, description="When the run was executed, if its publisher said so")
    published_at: Moment
    row_id_field: str | None = Field(None, description="The field that has the row ids, if the publisher named one")
    schema_: list[AnswerField] = Field(alias="schema", description="The columns in their order")
    notes: list[str] = Field(description="Decisions that the publisher did not ask for, one sentence each")

    @classmethod
    def of(cls, run: Run) -> "RunAnswer":
        """Describe a run."""
        return cls(
            workflow_id=run.workflow_id,
            run_id=run.run_id,
            state=run.state,
            row_count=run.rows,
            size_bytes=sum(part.bytes for part in run.parts),
            executed_at=run.executed_at,
            published_at=run.published_at,
            row_id_field=run.row_id_field,
            schema_=[AnswerField(name=field.name, type=field.data_type) for field in run.table.delivered],
            notes=list(run.notes),
        )


async def publish(request: Request) -> Response:
    """Answer POST."""
    services: Services = request.app.state.services
    principal = await authenticate_publisher(request)
    query = request.scope["query_string"]
    if len(query) > MAX_QUERY_BYTES:
        raise HTTPException(414, f"The query is longer than {MAX_QUERY_BYTES:,} bytes")
    wanted = make_publish_request(request.headers, read_query(query, PUBLISH_PARAMETERS))
    workflow_id = checked_id("workflow", request.path_params["workflow_id"])
    run_id = checked_id("run", wanted.run or str(uuid.uuid4()))
    add_log_fields(request.scope, run=run_id)
    jobs, results = services.publishing, services.exporter.results
    async with jobs.slot(principal.team):
        # Check before reading the body, which may be large.
        await anyio.to_thread.run_sync(Commits(results).check_publisher, workflow_id, principal.team)
        with spill_folder(jobs.spill_directory) as folder:
            received = await receive_file(
                request, folder / f"body{wanted.extension}", limit_bytes=jobs.limit_bytes, gzip=wanted.gzip
            )
            publication = _publication(workflow_id, run_id, principal.team, wanted, received)
            try:
                run, status = await jobs.publish(publication), 201
            except AlreadyPublished:
                existing = await anyio.to_thread.run_sync(results.run, workflow_id, run_id)
                if existing is None or existing.content_sha256 != publication.content_sha256:
                    raise
                # A repeated request, whose first response was lost.
                run, status = existing, 200
            except InvalidInput as error:
                message = error.message.replace(f"{folder.absolute()}/", "")
                raise InvalidInput(name_parameters(message), **error.details) from error
    if status == 201:
        await _prepare(services, run, principal.team)
    add_log_fields(request.scope, rows=run.rows, bytes=received.size)
    body = RunAnswer.of(run).model_dump_json(by_alias=True, exclude_none=True)
    return Response(body, status, headers={"cache-control": "no-store"}, media_type="application/json")


async def _prepare(services: Services, run: Run, team: str) -> None:
    """Start the exports that are made of every run. They wait their turn like those that callers request."""
    if run.state is not State.FINISHED:
        return
    for name in services.publishing.prepared:
        request = ExportRequest(run.workflow_id, run=run.run_id, format=FORMATS[name])
        # The run is published; a caller who requests the export gets the error.
        with suppress(EngineError):
            services.jobs.join(await services.plan(request, team), team)


def _publication(workflow: str, run: str, team: str, wanted: PublishRequest, received: Received) -> Publication:
    schema: Path | None = None
    if wanted.schema is not None:
        schema = received.path.with_name("schema")
        schema.write_text(wanted.schema, "utf-8")
    return Publication(
        workflow=workflow,
        run=run,
        files=(received.path,),
        team=team,
        name=wanted.name,
        schema=schema,
        row_id=wanted.row_id,
        executed_at=wanted.executed_at,
        state=wanted.state,
        options=wanted.options,
        content_sha256=wanted.content_sha256(received.sha256),
    )
