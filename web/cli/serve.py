"""``tailrace serve``."""

import asyncio
import gc
import os
from collections.abc import Sequence
from contextlib import suppress
from socket import socket

import click
import uvicorn
from starlette.applications import Starlette

from engine.common.private_files import restrict_umask
from web.app import create_app
from web.container import Services
from web.environment import deprecated_variables, unknown_variables
from web.http.acceptor import Acceptor, listen
from web.http.connections import Connections, connection_limit
from web.http.limits import MAX_HEAD_BYTES
from web.http.protocol import HttpProtocol
from web.settings import AdmissionSettings, ConnectionSettings, ServerSettings
from web.telemetry import tracing
from web.telemetry.logs import LOG, log_event, set_up

_ANSWER_SECONDS = 5
"""For the answers to what was cancelled at the end of the grace, and for downloads that are nearly over."""
_CUT_SECONDS = 1
"""Before uvicorn would cancel what is left, with a stack for each."""


@click.command()
def serve() -> None:
    """Serve exports over HTTP, as the TAILRACE_ settings of the environment say.

    Ctrl-C or SIGTERM stops it: running exports have TAILRACE_SHUTDOWN_GRACE_SECONDS to finish. `tailrace doctor` checks
    the settings.

    \b
    Example: TAILRACE_API_KEYS=KEY=acme TAILRACE_SIGNING_KEYS=k1=SECRET tailrace serve

    Exit codes: 0 stopped by Ctrl-C, 1 a setting is missing or the port is taken, 2 the command line was wrong.
    """
    set_up()
    for deprecated in deprecated_variables(os.environ):
        LOG.warning("deprecated setting", extra={"fields": {"name": deprecated.name, "use": deprecated.current}})
    for unknown in unknown_variables(os.environ):
        LOG.warning("unknown setting", extra={"fields": {"name": unknown.name, "nearest": unknown.nearest}})
    run_server(create_app(), ServerSettings(), AdmissionSettings(), ConnectionSettings())


class _Server(uvicorn.Server):
    """uvicorn, but connections are bounded in number and in patience, and all that runs ends within the grace.

    uvicorn itself cuts off what goes on for too long, with an answer that is not ours and a stack in the log.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        services: Services,
        listeners: Sequence[socket],
        connections: Connections,
        grace_seconds: float,
    ) -> None:
        super().__init__(config)
        self._services = services
        self._connections = connections
        self._grace_seconds = grace_seconds
        self._acceptor = Acceptor(listeners, connections, self._protocol)
        self._rounds: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await super().startup(sockets)
        self._rounds = asyncio.create_task(self._connections.run())
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let exports and queries come to an end within the grace, then cancel them; each is answered."""
        await self._acceptor.close()
        closing = asyncio.ensure_future(self._services.close())
        self._connections.begin_shutdown(self._grace_seconds)
        cut = asyncio.get_running_loop().call_later(
            self._grace_seconds + _ANSWER_SECONDS - _CUT_SECONDS, self._connections.end_all
        )
        await super().shutdown(sockets)
        cut.cancel()
        if self._rounds is not None:
            self._rounds.cancel()
            with suppress(asyncio.CancelledError):
                await self._rounds
        await closing
        await asyncio.to_thread(tracing.flush)

    def _protocol(self) -> HttpProtocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state, self._connections)


def run_server(
    app: Starlette, server: ServerSettings, admission: AdmissionSettings, connection: ConnectionSettings
) -> None:
    """Serve until a signal ends it; what runs then has its grace to come to an end."""
    restrict_umask()
    set_up()
    try:
        tracing.set_up()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    limit = connection_limit(connection.max_connections)
    if limit < connection.max_connections:
        log_event("connections limited by open files", {"connections": limit, "wanted": connection.max_connections})
    config = uvicorn.Config(
        app,
        # The access log would print signed URLs.
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        # Ours has its stacks.
        log_config=None,
        log_level="warning",
        http=HttpProtocol,
        ws="none",
        timeout_graceful_shutdown=admission.shutdown_grace_seconds + _ANSWER_SECONDS,
    )
    try:
        listeners = listen(server.host, server.port)
    except OSError as error:
        LOG.error("cannot listen", extra={"fields": {"reason": error.strerror}})
        raise _not_started(server) from error
    connections = Connections(limit=limit, stall_seconds=connection.stall_seconds)
    serving = _Server(config, app.state.services, listeners, connections, admission.shutdown_grace_seconds)
    # A full collection holds Python's lock while it looks at everything: 80 ms, for what is here to stay.
    gc.collect()
    gc.freeze()
    try:
        # Without sockets of uvicorn: it accepts as many connections as come.
        serving.run(sockets=[])
    except KeyboardInterrupt:
        # By then all is over.
        return
    except SystemExit as error:
        # It has told the reason, and has statuses of its own.
        if error.code:
            raise _not_started(server) from error
    if not serving.started:
        raise _not_started(server)


def _not_started(server: ServerSettings) -> click.ClickException:
    return click.ClickException(f"The service could not start on {server.host}:{server.port}.")
