"""``tailrace serve``."""

import click
import uvicorn
from starlette.applications import Starlette

from web.app import create_app
from web.logs import set_up
from web.settings import AdmissionSettings, ServerSettings

_LONGEST_HEAD_BYTES = 128 * 1024


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


def run_server(app: Starlette, server: ServerSettings, admission: AdmissionSettings) -> None:
    """Serve until a signal ends it; what runs then has its grace to come to an end."""
    set_up()
    try:
        uvicorn.run(
            app,
            host=server.host,
            port=server.port,
            # The access log would print signed URLs.
            access_log=False,
            server_header=False,
            # Above our own bound, so that a URL that is too long gets an answer that says so.
            h11_max_incomplete_event_size=_LONGEST_HEAD_BYTES,
            log_level="warning",
            timeout_graceful_shutdown=admission.grace_seconds,
        )
    except SystemExit as error:
        # It has told the reason, and has statuses of its own.
        if error.code:
            raise click.ClickException(f"The service could not start on {server.host}:{server.port}.") from error
