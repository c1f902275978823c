"""The command line as a whole: its version, misspelt commands, and counts with their nouns."""

from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from web.cli.terminal.command_group import NAMES, commands
from web.cli.terminal.program import program
from web.cli.terminal.progress_bar import counted
from web.cli.terminal.tabbed import print_rows


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
    # A service does not end by itself.
    begin = "Exit codes: 1 " if name == "serve" else "Exit codes: 0 "
    described = [" ".join(text.partition("Exit codes:")[1:]).split() for text in texts if text and begin in text]
    assert name == "demo" or described
    assert all("130" in words for words in described)


def test_the_list_of_commands_is_not_cut() -> None:
    done = CliRunner().invoke(commands, ["--help"])
    listed = done.output.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.strip().splitlines()] == sorted(NAMES)
    assert "..." not in listed


def test_lists_are_aligned_at_a_terminal_and_tab_separated_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("jobs", 12), ("急須", None)]
    print_rows(("name", "rows"), rows)
    assert capsys.readouterr().out == "name\trows\njobs\t12\n急須\t-\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_rows(("workflow", "rows"), rows)
    assert capsys.readouterr().out == "workflow  rows\njobs      12\n急須      -\n"


@pytest.mark.parametrize(
    ("started", "found", "shown"),
    [
        (".venv/bin/tailrace", None, ".venv/bin/tailrace"),
        ("/usr/bin/tailrace", "/usr/bin/tailrace", "tailrace"),
        ("-c", None, "tailrace"),
    ],
)
def test_the_next_command_is_one_that_can_be_run(
    monkeypatch: pytest.MonkeyPatch, started: str, found: str | None, shown: str
) -> None:
    monkeypatch.setattr("sys.argv", [started])
    monkeypatch.setattr("shutil.which", lambda _: found)
    assert program() == shown


def test_counts_have_singulars() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 1_000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
