"""``tailrace serve``."""

import asyncio
import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from socket import socket
from types import FrameType

import click
import uvicorn
from starlette.applications import Starlette

from engine.common.private_files import restrict_umask
from web.app import create_app
from web.cli.terminal.interrupts import INTERRUPTED
from web.container import Services
from web.environment import deprecated_variables, unknown_variables
from web.http.acceptor import Acceptor, listen
from web.http.connections import Connections, connection_limit
from web.http.limits import MAX_HEAD_BYTES
from web.http.protocol import HttpProtocol
from web.settings import AdmissionSettings, ConnectionSettings, ServerSettings
from web.telemetry import tracing
from web.telemetry.logs import LOG, log_event, set_up

_RESPONSE_SECONDS = 5
"""Time after the grace period for responses to cancelled requests, and for downloads that are nearly done."""
_MARGIN_SECONDS = 1
"""Connections are closed this long before uvicorn would cancel their tasks and log a traceback for each."""
_TICK_SECONDS = 0.1
_SLOW_SECONDS = 1
"""A stop that takes longer is logged, with the grace period."""
_CLOSE_HEADER = (b"connection", b"close")


@click.command(short_help="Serve exports over HTTP.")
@click.pass_obj
def serve(env_file: tuple[Path, list[str]] | None) -> None:
    """Serve exports over HTTP, configured by the TAILRACE_ environment variables, or a file .env.

    Ctrl-C or SIGTERM stops it: running exports have TAILRACE_SHUTDOWN_GRACE_SECONDS to finish. Before that, SIGTERM
    makes /readyz a 503 for TAILRACE_DRAIN_SECONDS, in which requests are still accepted; a second signal ends this.
    `tailrace doctor` checks the settings.

    \b
    Example: TAILRACE_API_KEYS=KEY=acme TAILRACE_SIGNING_KEYS=k1=SECRET tailrace serve

    Exit codes: 1 a setting is missing or the port is taken, 2 usage error, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    set_up(ServerSettings().log)
    if env_file is not None:
        log_event("settings file", {"file": str(env_file[0]), "names": env_file[1]})
    warn_of_names()
    run_server(create_app(), ServerSettings(), AdmissionSettings(), ConnectionSettings())


def warn_of_names() -> None:
    """Log the settings whose names are deprecated or unknown."""
    for deprecated in deprecated_variables(os.environ):
        LOG.warning("deprecated setting", extra={"fields": {"name": deprecated.name, "use": deprecated.current}})
    for unknown in unknown_variables(os.environ):
        LOG.warning("unknown setting", extra={"fields": {"name": unknown.name, "nearest": unknown.nearest}})


class _Server(uvicorn.Server):
    """uvicorn with a limit on connections, a timeout for stalled ones, and an orderly shutdown.

    On SIGTERM the service is not ready for ``drain_seconds``, but still accepts requests, so that a load balancer can
    send them elsewhere. Then it stops accepting, and what runs has ``grace_seconds``. uvicorn's own shutdown would
    refuse connections at once, and cut off long requests with a plain-text response and a traceback in the log.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        services: Services,
        listeners: Sequence[socket],
        connections: Connections,
        *,
        drain_seconds: float,
        grace_seconds: float,
    ) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._drain_ended = False
        self._services = services
        self._connections = connections
        self._grace_seconds = grace_seconds
        self._acceptor = Acceptor(listeners, connections, self._protocol)
        self._checks: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await super().startup(sockets)
        self._checks = asyncio.create_task(self._connections.run())
        self._acceptor.start()
        log_event("listening", self._services.described())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. The next signal ends the drain; the one after that is uvicorn's, as if there were no drain."""
        if self.should_exit and not self._drain_ended:
            self._drain_ended = True
            return
        if sig == signal.SIGINT and sys.stderr.isatty():
            # The terminal has echoed ^C.
            os.write(2, b"\n")
        # A person who presses Ctrl-C has no load balancer to wait for.
        self._drain_ended = sig != signal.SIGTERM or not self._drain_seconds
        super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        """Serve until a signal, and then while draining."""
        await super().main_loop()
        deadline = asyncio.get_running_loop().time() + self._drain_seconds
        if not self._drain_ended:
            log_event("draining", {"seconds": self._drain_seconds})
            self._services.draining.set()
            self._connections.announce_close()
        while not self._drain_ended and asyncio.get_running_loop().time() < deadline:
            # uvicorn's headers of every response, with the current Date.
            await self.on_tick(0)
            self.server_state.default_headers.append(_CLOSE_HEADER)
            await asyncio.sleep(_TICK_SECONDS)
        self._drain_ended = True

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Wait for exports and queries within the grace period, then cancel them; every request is answered."""
        await self._acceptor.close()
        closing = asyncio.ensure_future(self._services.close())
        self._connections.begin_shutdown(self._grace_seconds)
        loop = asyncio.get_running_loop()
        slow = loop.call_later(_SLOW_SECONDS, log_event, "stopping", {"seconds": self._grace_seconds})
        deadline = loop.call_later(self._grace_seconds + _RESPONSE_SECONDS - _MARGIN_SECONDS, self._connections.end_all)
        await super().shutdown(sockets)
        deadline.cancel()
        slow.cancel()
        if self._checks is not None:
            self._checks.cancel()
            with suppress(asyncio.CancelledError):
                await self._checks
        await closing
        await asyncio.to_thread(tracing.flush)
        log_event("stopped", {})

    def _protocol(self) -> HttpProtocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state, self._connections)


def run_server(
    app: Starlette,
    server: ServerSettings,
    admission: AdmissionSettings,
    connection: ConnectionSettings,
    greeting: str | None = None,
) -> None:
    """Serve until a signal arrives; running requests then have the grace period to finish.

    ``greeting`` is printed once the address is this process's.
    """
    restrict_umask()
    set_up(server.log)
    try:
        tracing.set_up()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    limit = connection_limit(connection.max_connections)
    if limit < connection.max_connections:
        log_event("connections limited by open files", {"connections": limit, "wanted": connection.max_connections})
    config = uvicorn.Config(
        app,
        # By default, uvicorn would trust programs on this machine.
        proxy_headers=bool(server.proxies),
        forwarded_allow_ips=server.proxies,
        # uvicorn's access log would contain signed URLs.
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        # The service logs JSON itself.
        log_config=None,
        log_level="warning",
        http=HttpProtocol,
        ws="none",
        timeout_graceful_shutdown=admission.shutdown_grace_seconds + _RESPONSE_SECONDS,
    )
    try:
        listeners = listen(server.host, server.port)
    except OSError as error:
        LOG.error("cannot listen", extra={"fields": {"reason": error.strerror}})
        raise _not_started(server, error) from error
    if greeting is not None:
        click.echo(greeting)
    connections = Connections(limit=limit, stall_seconds=connection.stall_seconds)
    serving = _Server(
        config,
        app.state.services,
        listeners,
        connections,
        drain_seconds=admission.drain_seconds,
        grace_seconds=admission.shutdown_grace_seconds,
    )
    # Excludes the objects of the start from full collections, which would hold the GIL for 80 ms each.
    gc.collect()
    gc.freeze()
    try:
        # No sockets for uvicorn, which would accept any number of connections.
        serving.run(sockets=[])
    except KeyboardInterrupt:
        # The shutdown is complete.
        sys.exit(INTERRUPTED)
    except SystemExit as error:
        # uvicorn has logged the reason, and uses its own exit codes.
        if error.code:
            raise _not_started(server) from error
    if not serving.started:
        raise _not_started(server)


def _not_started(server: ServerSettings, error: OSError | None = None) -> click.ClickException:
    in_use = error is not None and error.errno == errno.EADDRINUSE
    why = ": the port is in use. Set TAILRACE_PORT to another one" if in_use else ""
    return click.ClickException(f"The service could not start on {server.host}:{server.port}{why}.")
