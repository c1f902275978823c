"""The commands of the shell, as data rows: lines that begin with a dot."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import click

from web.cli.shell.catalogue import TABLES, Catalogue, schema_query
from web.cli.shell.modes import MODES, mode_named
from web.cli.shell.pager import DEFAULT, find_pager
from web.cli.shell.session import ShellSession
from web.cli.shell.typed import command_word

_HELP_QUERY = "FROM help"
_SWITCH = {"on": True, "off": False}


class Leave(Exception):
    """The user leaves the shell."""


@dataclass(frozen=True, slots=True)
class Command:
    """One row: its arguments and what it does, for `.help`; and the function, which gets the arguments as typed."""

    arguments: str
    does: str
    run: Callable[[ShellSession, Catalogue, list[str]], None]
    most: int = 0
    """How many arguments it takes at most."""


def run_command(session: ShellSession, catalogue: Catalogue, line: str) -> None:
    """Run a command. Raises Leave, ClickException for what is wrong with the line, and errors of statements."""
    word = command_word(line)
    if word in ("exit", "quit", "\\q"):
        raise Leave
    if word in ("help", "\\h"):
        session.show(_HELP_QUERY)
        return
    try:
        name, *arguments = shlex.split(line.strip().rstrip(";"))
    except ValueError as error:
        raise click.ClickException(f"{line.strip()}: {error}.") from error
    command = COMMANDS.get(name.lower())
    if command is None:
        [similar] = get_close_matches(name.lower(), COMMANDS, 1) or [".help"]
        raise click.ClickException(f"There is no command {name}; did you mean {similar}?")
    if len(arguments) > command.most:
        raise click.ClickException(f"Use {name} {command.arguments}".rstrip() + ".")
    command.run(session, catalogue, arguments)


def _help(_session: ShellSession, _catalogue: Catalogue, _arguments: list[str]) -> None:
    for name, command in COMMANDS.items():
        click.echo(f"{f'{name} {command.arguments}':<24}{command.does}")
    click.echo("Statements end with a semicolon. Tab completes; help lists the tables of published results.")


def _leave(_session: ShellSession, _catalogue: Catalogue, _arguments: list[str]) -> None:
    raise Leave


def _tables(session: ShellSession, _catalogue: Catalogue, _arguments: list[str]) -> None:
    session.show(TABLES)


def _schema(session: ShellSession, catalogue: Catalogue, arguments: list[str]) -> None:
    if not arguments:
        raise click.ClickException("Use .schema NAME, a workflow or a table.")
    session.show(schema_query(catalogue, arguments[0]))


def _mode(session: ShellSession, _catalogue: Catalogue, arguments: list[str]) -> None:
    if not arguments:
        click.echo(session.mode.name)
        return
    mode = mode_named(arguments[0].lower())
    if mode is None:
        raise click.ClickException(f"There is no mode {arguments[0]}; use {', '.join(MODES)}.")
    session.mode = mode


def _output(session: ShellSession, _catalogue: Catalogue, arguments: list[str]) -> None:
    session.target = Path(arguments[0]).expanduser() if arguments else None


def _refresh(session: ShellSession, catalogue: Catalogue, _arguments: list[str]) -> None:
    session.inspection.refresh()
    catalogue.forget()


def _timer(session: ShellSession, _catalogue: Catalogue, arguments: list[str]) -> None:
    session.timed = _switched(".timer", arguments)


def _pager(session: ShellSession, _catalogue: Catalogue, arguments: list[str]) -> None:
    session.pager = find_pager() if _switched(".pager", arguments) else None


def _switched(name: str, arguments: list[str]) -> bool:
    state = _SWITCH.get(arguments[0].lower()) if arguments else None
    if state is None:
        raise click.ClickException(f"Use {name} on or {name} off.")
    return state


COMMANDS = {
    ".help": Command("", "this list", _help),
    ".tables": Command("", "tables and views, also of this session and attached", _tables),
    ".schema": Command("NAME", "columns and types of a workflow's latest run, or of a table", _schema, 1),
    ".mode": Command("[MODE]", f"how results are shown: {', '.join(MODES)}", _mode, 1),
    ".output": Command("[FILE]", "write the next result to FILE, in the format of its name, else show it", _output, 1),
    ".pager": Command("on|off", f"show all of a long or wide result in $PAGER, else {DEFAULT}", _pager, 1),
    ".refresh": Command("", "see runs that were published or deleted meanwhile", _refresh),
    ".timer": Command("on|off", "show how long each statement takes", _timer, 1),
    ".quit": Command("", "leave, as exit, quit and Ctrl-D do", _leave),
    ".exit": Command("", "the same", _leave),
}
