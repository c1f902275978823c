"""Reads what is typed at a terminal: whole statements over several lines, with history and completion."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory
from prompt_toolkit.utils import is_dumb_terminal

from engine.query.inspect.statements import is_complete
from web.cli.shell.catalogue import Catalogue
from web.cli.shell.completion import SqlCompleter
from web.cli.shell.typed import CONTINUED, PROMPT, is_command

_HISTORY = Path("~/.tailrace_sql_history")


class StatementHistory(FileHistory):
    """Statements of earlier sessions, each as it was typed; only this user can read the file.

    A file that cannot be read or written is a history that is forgotten, and no reason to refuse a statement.
    """

    def __init__(self) -> None:
        path = _HISTORY.expanduser()
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        super().__init__(path)

    def load_history_strings(self) -> Iterable[str]:
        """Newest first."""
        with suppress(OSError):
            return super().load_history_strings()
        return ()

    def store_string(self, string: str) -> None:
        """Append a statement."""
        with suppress(OSError):
            super().store_string(string)


class Prompt:
    """Reads from a terminal that can move the cursor. Enter ends a statement that has its semicolon."""

    def __init__(self, history: StatementHistory, completer: Completer) -> None:
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=history,
            completer=completer,
            complete_while_typing=False,
            multiline=Condition(lambda: not _is_over(get_app().current_buffer.text)),
            prompt_continuation=CONTINUED,
        )

    def read(self, _typed: str) -> str:
        """Return a script or a command. Raises EOFError and KeyboardInterrupt."""
        return self._session.prompt()

    def remember(self, _script: str) -> None:
        """Do nothing: what was read is in the history."""


class PlainPrompt:
    """Reads single lines from a terminal that cannot move the cursor, as that of an editor."""

    def __init__(self, history: StatementHistory) -> None:
        self._history = history

    def read(self, typed: str) -> str:
        """Return a line. Raises EOFError and KeyboardInterrupt."""
        try:
            return input(CONTINUED if typed else PROMPT)
        except KeyboardInterrupt:
            click.echo()
            raise

    def remember(self, script: str) -> None:
        """Add a script to the history."""
        self._history.append_string(script)


def open_prompt(catalogue: Catalogue) -> Prompt | PlainPrompt:
    """The prompt that this terminal is able to show."""
    plain = is_dumb_terminal() or not sys.stdout.isatty()
    return PlainPrompt(StatementHistory()) if plain else Prompt(StatementHistory(), SqlCompleter(catalogue))


def _is_over(text: str) -> bool:
    return not text.strip() or is_complete(text) or is_command(text)
