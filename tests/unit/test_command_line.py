"""The command line as a whole: its version, misspelt commands, and counts with their nouns."""

from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from web.cli.terminal.command_group import NAMES, commands
from web.cli.terminal.progress_bar import counted


def test_version() -> None:
    done = CliRunner().invoke(commands, ["--version"], prog_name="tailrace")
    assert (done.exit_code, done.output) == (0, f"tailrace {version('tailrace')}\n")


@pytest.mark.parametrize(
    ("typed", "suggested"),
    {"exprot": "export", "pubish": "publish", "verfy": "verify", "Runs": "runs", "doctr": "doctor"}.items(),
)
def test_a_misspelt_command_gets_a_suggestion(typed: str, suggested: str) -> None:
    done = CliRunner().invoke(commands, [typed])
    assert done.exit_code == 2
    assert f"'{typed}'" in done.output
    assert done.output.count("Did you mean") == 1
    assert f"'{suggested}'" in done.output.partition("Did you mean")[2]


def test_a_command_like_no_other_gets_no_suggestion() -> None:
    done = CliRunner().invoke(commands, ["frobnicate"])
    assert (done.exit_code, "Did you mean" in done.output) == (2, False)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_its_exit_codes(name: str) -> None:
    with click.Context(commands) as context:
        command = commands.get_command(context, name)
    assert command is not None
    texts = [command.help, *(inner.help for inner in getattr(command, "commands", {}).values())]
    assert name == "demo" or any("Exit codes: 0 " in (text or "") for text in texts)


def test_counts_have_singulars() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 1_000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
