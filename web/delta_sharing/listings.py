"""``/delta-sharing/shares``: the share of the caller's team, its schema and its tables."""

from collections.abc import Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import ResultStore
from engine.errors import NotFound
from web.api.request_reader import authenticate, wait_for_disconnect
from web.auth.principal import Principal
from web.container import Services
from web.delta_sharing.models import (
    DeltaSchema,
    DeltaSchemas,
    DeltaShare,
    DeltaShareAnswer,
    DeltaShares,
    DeltaTable,
    DeltaTables,
)
from web.delta_sharing.names import SCHEMA, TableId, id_of, name_of
from web.delta_sharing.paging import read_page
from web.delta_sharing.parameters import read_query
from web.delta_sharing.snapshot import table_uuid

NOT_FOUND = "There is no such share, schema or table: check the names, and that the token belongs to the owning team."


async def shares(request: Request) -> Response:
    """Answer GET of the shares."""
    team = (await authenticate_recipient(request)).team
    page = read_page(read_query(request), lambda after: [(team, _share(team))] if team > after else [])
    return _answer(DeltaShares(items=page.entries, next_page_token=page.next_token).encode())


async def share(request: Request) -> Response:
    """Answer GET of one share."""
    team = (await authenticate_recipient(request)).team
    return _answer(DeltaShareAnswer(share=_share(team)).encode())


async def schemas(request: Request) -> Response:
    """Answer GET of the schemas of a share."""
    team = (await authenticate_recipient(request)).team
    only = (SCHEMA, DeltaSchema(name=SCHEMA, share=name_of(team)))
    page = read_page(read_query(request), lambda after: [only] if after < SCHEMA else [])
    return _answer(DeltaSchemas(items=page.entries, next_page_token=page.next_token).encode())


async def tables(request: Request) -> Response:
    """Answer GET of the tables of a schema, and of all tables of a share."""
    team = (await authenticate_recipient(request)).team
    values = read_query(request)
    services: Services = request.app.state.services

    page = await services.lists.run(
        team,
        partial(wait_for_disconnect, request),
        lambda _: read_page(values, partial(_tables, services.exporter.results, team)),
    )
    return _answer(DeltaTables(items=page.entries, next_page_token=page.next_token).encode())


async def authenticate_recipient(request: Request) -> Principal:
    """Return the caller, who may send an API key as a bearer token. Raises InvalidCredentials.

    Raises NotFound unless the share and the schema in the path, if there are any, are the caller's.
    """
    principal = await authenticate(request, bearer_keys=True)
    names = request.path_params
    if "share" in names and id_of(names["share"]) != principal.team:
        raise NotFound(NOT_FOUND)
    if names.get("schema", SCHEMA).lower() != SCHEMA:
        raise NotFound(NOT_FOUND)
    return principal


def _share(team: str) -> DeltaShare:
    return DeltaShare(name=name_of(team), display_name=team)


def _tables(results: ResultStore, team: str, after: str) -> Iterator[tuple[str, DeltaTable]]:
    for workflow in results.workflows_after(team, after):
        if workflow.latest is not None:
            table = DeltaTable(
                name=name_of(workflow.workflow_id),
                schema_=SCHEMA,
                share=name_of(team),
                id=table_uuid(team, TableId(workflow.workflow_id)),
                access_modes=["url"],
            )
            yield workflow.workflow_id, table


def _answer(body: bytes) -> Response:
    return Response(body, headers={"content-type": "application/json; charset=utf-8", "cache-control": "no-store"})
