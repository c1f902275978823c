"""``tailrace mcp``."""

import click

from web.cli.terminal.interrupts import ending_at_once
from web.settings import ServerSettings

_MISSING_EXTRA = "`tailrace mcp` needs the extra mcp: pip install 'tailrace[mcp]'."


@click.command(short_help="Serve the tools for assistants over standard input.")
@click.option(
    "--url",
    envvar="TAILRACE_URL",
    metavar="URL",
    help="Base URL of the service.  [default: as configured here]",
)
@click.option(
    "--key", envvar="TAILRACE_KEY", show_envvar=True, required=True, help="API key; preferably set in the environment."
)
def mcp(url: str | None, key: str) -> None:
    """Serve the tools for assistants (MCP) over standard input and output; they call a running service.

    Desktop assistants start this command. Assistants that use HTTP connect to /mcp of the service instead.

    \b
    Example of an assistant's configuration:
      {"command": "tailrace", "args": ["mcp"],
       "env": {"TAILRACE_URL": "https://data.example", "TAILRACE_KEY": "..."}}

    Exit codes: 0 the assistant disconnected, 1 the extra is missing, 2 usage error, 130 interrupted.
    """
    try:
        import httpx2  # of the extra mcp

        from web.mcp.tools import make_server  # of the extra mcp
    except ImportError as error:
        raise click.ClickException(_MISSING_EXTRA) from error
    base = url or ServerSettings().public_url
    server = make_server(
        lambda _: httpx2.AsyncClient(base_url=base.rstrip("/"), headers={"x-api-key": key}, timeout=3600)
    )
    # A thread waits for standard input, so the process would not end before that does.
    with ending_at_once():
        server.run("stdio")
