"""``tailrace mcp``."""

import click

from web.settings import ServerSettings

_MISSING = "`tailrace mcp` needs the extra mcp: pip install 'tailrace[mcp]'."


@click.command()
@click.option(
    "--url", envvar="TAILRACE_URL", metavar="URL", help="The service to ask; that of this environment if not given."
)
@click.option("--key", envvar="TAILRACE_KEY", required=True, help="API key; better by TAILRACE_KEY.")
def mcp(url: str | None, key: str) -> None:
    """Serve the tools for assistants over standard input and output, by a running service.

    An assistant on a desktop starts this itself; one that speaks HTTP takes /mcp of the service instead.

    \b
    Example, as such assistants are told of servers:
      {"command": "tailrace", "args": ["mcp"],
       "env": {"TAILRACE_URL": "https://data.example", "TAILRACE_KEY": "..."}}

    Exit codes: 0 the assistant has left, 1 the extra is missing, 2 the command line was wrong, 130 interrupted.
    """
    try:
        import httpx2  # of the extra

        from web.mcp.tools import make_server  # of the extra
    except ImportError as error:
        raise click.ClickException(_MISSING) from error
    base = url or ServerSettings().public_url
    server = make_server(
        lambda _: httpx2.AsyncClient(base_url=base.rstrip("/"), headers={"x-api-key": key}, timeout=3600)
    )
    server.run("stdio")
