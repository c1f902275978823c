"""``tailrace serve``."""

import asyncio
import gc
from socket import socket

import click
import uvicorn
from starlette.applications import Starlette

from engine.common.private_files import restrict_umask
from web.app import create_app
from web.container import Services
from web.http.protocol import LONGEST_HEAD_BYTES, Connection
from web.settings import AdmissionSettings, ServerSettings
from web.telemetry import tracing
from web.telemetry.logs import set_up

_ANSWER_SECONDS = 5
"""For the answers to what was cancelled at the end of the grace, and for downloads that are nearly over."""


@click.command()
def serve() -> None:
    """Serve exports over HTTP, as the TAILRACE_ settings of the environment say.

    Ctrl-C or SIGTERM stops it: running exports have TAILRACE_GRACE_SECONDS to come to an end. `tailrace doctor` says
    what is wrong with the settings.

    \b
    Example: TAILRACE_API_KEYS=KEY=acme TAILRACE_SIGNING_KEYS=k1=SECRET tailrace serve

    Exit codes: 0 stopped by Ctrl-C, 1 a setting is missing or the port is taken, 2 the command line was wrong.
    """
    run_server(create_app(), ServerSettings(), AdmissionSettings())


class _Server(uvicorn.Server):
    """uvicorn cuts off what goes on for too long, with an answer that is none of ours: so we end it before."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let exports and queries come to an end within the grace, then cancel them; each is answered."""
        closing = asyncio.ensure_future(self._services.close())
        await super().shutdown(sockets)
        await closing
        await asyncio.to_thread(tracing.flush)


def run_server(app: Starlette, server: ServerSettings, admission: AdmissionSettings) -> None:
    """Serve until a signal ends it; what runs then has its grace to come to an end."""
    restrict_umask()
    set_up()
    try:
        tracing.set_up()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    config = uvicorn.Config(
        app,
        host=server.host,
        port=server.port,
        # The access log would print signed URLs.
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=LONGEST_HEAD_BYTES,
        # Ours has its stacks.
        log_config=None,
        log_level="warning",
        http=Connection,
        timeout_graceful_shutdown=admission.grace_seconds + _ANSWER_SECONDS,
    )
    serving = _Server(config, app.state.services)
    # A full collection holds Python's lock while it looks at everything: 80 ms, for what is here to stay.
    gc.collect()
    gc.freeze()
    try:
        serving.run()
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
