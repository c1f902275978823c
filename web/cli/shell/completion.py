"""Completes what is typed in the shell from the catalogue of the session."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from engine.common.quoting import identifier
from web.cli.shell.catalogue import Catalogue, matching
from web.cli.shell.commands import COMMANDS
from web.cli.shell.modes import MODES

_FIRST_TEXT = re.compile(r"\w+\s*\(\s*'([^']*)\Z")
_LATER_TEXT = re.compile(r"\w+\s*\(\s*'([^']*)'\s*,[^()]*'([^']*)\Z")
_IN_TEXT = re.compile(r"\A[^']*'(?:[^']*'[^']*')*[^']*\Z")
_WORD = re.compile(r"(?:(\w+)\.)?(\w*)\Z")
_RESULT = re.compile(r"\bresult\s*\(\s*'([^']*)'", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)
_ARGUMENTS: dict[str, Callable[[Catalogue], list[str]]] = {
    ".mode": lambda _: [*MODES],
    ".pager": lambda _: ["on", "off"],
    ".timer": lambda _: ["on", "off"],
    ".schema": lambda catalogue: [*catalogue.workflows(), *catalogue.tables()],
}


@dataclass
class SqlCompleter(Completer):
    """Offers workflows and runs in the texts of a call, else columns, tables, functions and keywords."""

    catalogue: Catalogue

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        """What the text before the cursor can go on with."""
        before = document.text_before_cursor
        if before.lstrip().startswith("."):
            yield from self._command(before.lstrip())
        elif _IN_TEXT.match(before):
            yield from self._text(before)
        else:
            yield from self._name(before, document.text)

    def _command(self, line: str) -> Iterator[Completion]:
        name, blank, argument = line.partition(" ")
        if not blank:
            yield from _offered(COMMANDS, name)
        elif values := _ARGUMENTS.get(name.lower()):
            yield from _offered(values(self.catalogue), argument.lstrip())

    def _text(self, before: str) -> Iterator[Completion]:
        if first := _FIRST_TEXT.search(before):
            yield from _offered(self.catalogue.workflows(), first[1])
        elif later := _LATER_TEXT.search(before):
            yield from _offered(self.catalogue.runs(later[1]), later[2])

    def _name(self, before: str, text: str) -> Iterator[Completion]:
        found = _WORD.search(before)
        qualifier, word = (found[1], found[2]) if found else (None, "")
        tables = self.catalogue.tables()
        yield from _offered(self._columns(text, tables), word, quoted=True)
        if qualifier:
            inside = [table.partition(".")[2] for table in tables if table.lower().startswith(f"{qualifier.lower()}.")]
            yield from _offered(inside, word, quoted=True)
            return
        yield from _offered(tables, word)
        yield from _offered(sorted({table.partition(".")[0] for table in tables if "." in table}), word)
        if word:
            yield from _offered(self.catalogue.functions(), word)
            keywords = self.catalogue.keywords()
            yield from _offered(keywords if word.islower() else [keyword.upper() for keyword in keywords], word)

    def _columns(self, text: str, tables: list[str]) -> list[str]:
        """The columns of what the statement names."""
        words = set(re.findall(r"[\w.]+", text))
        names = [name for table in tables if table in words for name in self.catalogue.columns(table)]
        for workflow in _RESULT.findall(text):
            names += self.catalogue.result_columns(workflow)
        return [*dict.fromkeys(names)]


def _offered(names: Iterable[str], prefix: str, *, quoted: bool = False) -> Iterator[Completion]:
    for name in matching([*names], prefix):
        text = identifier(name) if quoted and not _PLAIN.fullmatch(name) else name
        yield Completion(text, start_position=-len(prefix), display=name)
