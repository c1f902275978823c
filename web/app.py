"""The application: routes, middleware and error handling.

`create_app` reads the environment; `create_app_with` takes services.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from engine.common.ids import is_id
from engine.common.malloc import tune_malloc
from engine.errors import EngineError
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from web.api.changes import change, changes
from web.api.column import column
from web.api.errors import answer_error
from web.api.exports.download import download
from web.api.exports.export import export
from web.api.exports.finished import delete_export, exports
from web.api.exports.statement import export_statement
from web.api.exports.status import status
from web.api.health import health, ready
from web.api.publishing.delete import delete_run, delete_workflow
from web.api.publishing.publish import publish
from web.api.query import query
from web.api.reads.history import history, job
from web.api.reads.parquet import parquet
from web.api.rows import rows
from web.api.unhandled import AnswerUnhandled
from web.api.workflows import workflow, workflows
from web.auth.errors import Forbidden, Unauthenticated
from web.auth.signed_urls import ExpiredUrl
from web.container import Services, make_services
from web.delta_sharing.routes import ROUTES as DELTA_SHARING
from web.http.download_headers import EXPOSED_HEADERS
from web.http.framing import UnambiguousFraming
from web.http.unread_body import DrainUnreadBody
from web.jobs.admission import ServiceOverloaded
from web.openapi import openapi, openapi_30
from web.pages.docs import docs
from web.pages.expired import answer_expired
from web.pages.explorer import asset, explorer
from web.settings import (
    AdmissionSettings,
    AuthSettings,
    HousekeepingSettings,
    PublishSettings,
    QuerySettings,
    ServerSettings,
    SigningSettings,
)
from web.telemetry.access_log import AccessLogMiddleware
from web.telemetry.log_context import add_log_fields
from web.telemetry.metrics import metrics
from web.telemetry.request_id import RequestIdMiddleware

if TYPE_CHECKING:
    from web.mcp.endpoint import Endpoint

_HANDLED = (EngineError, Unauthenticated, Forbidden, ServiceOverloaded, HTTPException, ClientDisconnect, Exception)


def create_app() -> Starlette:
    """Make the application from the settings in the environment. Raises MissingSetting."""
    tune_malloc()
    return create_app_with(
        make_services(
            StorageSettings(),
            DuckDBSettings(),
            ServerSettings(),
            AuthSettings(),
            SigningSettings(),
            AdmissionSettings(),
            QuerySettings(),
            RunnerSettings(),
            HousekeepingSettings(),
            PublishSettings(),
        )
    )


def create_app_with(services: Services) -> Starlette:
    """Make the application with these services."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with services.instances.running(), services.sweeping.running(), services.announcement.running():
            async with mcp.running() if mcp else nullcontext():
                yield
                await services.close()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            _route("/v4/workflows", workflows, "GET"),
            _route("/v4/workflows/{workflow_id}", _workflow, "GET", "DELETE"),
            _route("/v4/workflows/{workflow_id}/runs", publish, "POST"),
            _route("/v4/workflows/{workflow_id}/runs/{run_id}", delete_run, "DELETE"),
            _route("/v4/workflows/{workflow_id}/history", history, "GET"),
            _route("/v4/workflows/{workflow_id}/jobs/{run_id}", job, "GET"),
            _route("/v4/workflows/{workflow_id}/data", rows, "GET", "POST"),
            _route("/v4/workflows/{workflow_id}/data/parquet", parquet, "GET"),
            _route("/v4/workflows/{workflow_id}/data/column", column, "GET", "POST"),
            _route("/v4/workflows/{workflow_id}/data/query", query, "POST"),
            _route("/v4/workflows/{workflow_id}/data/query/export", export_statement, "POST"),
            _route("/v4/workflows/{workflow_id}/data/export", export, "GET", "POST"),
            _route("/v4/workflows/{workflow_id}/data/exports", exports, "GET"),
            _route("/v4/workflows/{workflow_id}/data/exports/{export_id}", _file, "GET", "HEAD", "DELETE"),
            _route("/v4/workflows/{workflow_id}/data/exports/{export_id}/status", status, "GET", "DELETE"),
            _route("/v4/workflows/{workflow_id}/data/exports/{export_id}/{file_name}", download, "GET", "HEAD"),
            *(
                _route(f"/{version}/changes{path}", endpoint, "GET")
                for version in ("v4", "v5")
                for path, endpoint in (("", changes), ("/{change_id}", change))
            ),
            *(_route(path, endpoint) for path, endpoint in DELTA_SHARING),
            _route("/healthz", health, "GET", "HEAD"),
            _route("/readyz", ready, "GET", "HEAD"),
            _route("/metrics", metrics, "GET", "HEAD"),
            _route("/openapi.json", openapi, "GET", "HEAD"),
            _route("/openapi-3.0.json", openapi_30, "GET", "HEAD"),
            _route("/", explorer, "GET", "HEAD"),
            _route("/assets/{name:path}", asset, "GET", "HEAD"),
            _route("/docs", docs, "GET", "HEAD"),
        ],
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(AccessLogMiddleware),
            Middleware(UnambiguousFraming),
            Middleware(DrainUnreadBody),
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=(*EXPOSED_HEADERS, "x-total-count", "x-total-pages", "x-row-count", "x-limit-reached"),
            ),
            Middleware(AnswerUnhandled),
        ],
        exception_handlers=dict.fromkeys(_HANDLED, answer_error) | {ExpiredUrl: answer_expired},
    )
    mcp = _add_mcp(app, services)
    app.router.routes.extend(_below_base(app.router.routes, services.signer.base))
    # A redirect would repeat the URL with its signature.
    app.router.redirect_slashes = False
    app.state.services = services
    return app


def _below_base(routes: list[BaseRoute], base_url: str) -> list[BaseRoute]:
    """Repeat the routes below the path of the base URL, for proxies that forward the path unchanged.

    The routes without it, for proxies that strip it, are matched first.
    """
    # Routes match the decoded path.
    prefix = unquote(urlsplit(base_url).path)
    if not prefix:
        return []

    async def page(_: Request) -> Response:
        """Add the slash, which the relative links of the page need."""
        return RedirectResponse(f"{base_url}/", 307)

    return [
        _route(prefix, page, "GET", "HEAD"),
        Mount(prefix, app=Router(list(routes), redirect_slashes=False)),
    ]


def _add_mcp(app: Starlette, services: Services) -> "Endpoint | None":
    """Add the MCP endpoint, if its extra is installed."""
    try:
        from web.mcp.endpoint import PATH, Endpoint
    except ImportError:
        return None
    endpoint = Endpoint(app, services.authenticator, services.signer.base)
    app.router.routes.append(Route(PATH, endpoint))
    return endpoint


async def _file(request: Request) -> Response:
    return await (delete_export if request.method == "DELETE" else download)(request)


async def _workflow(request: Request) -> Response:
    return await (delete_workflow if request.method == "DELETE" else workflow)(request)


def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
    """Make a route of exactly these methods, or of all. Starlette adds HEAD to every GET, which would run an export."""

    async def answer(request: Request) -> Response:
        ids = {name: value for name, value in request.path_params.items() if is_id(value)}
        add_log_fields(request.scope, route=path, **ids)
        if methods and request.method not in methods:
            raise HTTPException(405, "Method Not Allowed", {"allow": ", ".join(methods)})
        return await endpoint(request)

    route = Route(path, answer)
    route.methods = None
    return route
