"""Rows written anew for DuckDB, with every value as it is written in the file but for what has to be changed."""

import json
from collections.abc import Iterable, Mapping, Set
from json import JSONDecoder
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import InvalidInput

_PLAIN = JSONDecoder(parse_float=str, parse_int=str)
_SPACE = " \t\r\n"


class RowsWriter:
    """Writes rows as one JSON list. Raises InvalidInput when the disk is full."""

    def __init__(self, target: Path) -> None:
        self._file = target.open("w", encoding="utf-8", newline="")
        self._between = "["

    def __enter__(self) -> Self:
        return self

    def write(self, row: str) -> None:
        """Write the text of one row."""
        self._put(self._between + row)
        self._between = ",\n"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._put("[]" if self._between == "[" else "]")
        finally:
            self._file.close()

    def _put(self, text: str) -> None:
        try:
            self._file.write(text)
        except UnicodeEncodeError:
            raise InvalidInput("A text has half of a surrogate pair, which is not Unicode.") from None
        except OSError as error:
            raise InvalidInput(f"The rows cannot be written to the spill folder: {error.strerror}.") from error


def members_of(row: str) -> list[tuple[str, str]]:
    """The members of an object: names, and values as they are written. The text must be an object, and JSON."""
    members = []
    at = _skip(row, 1)
    while row[at] != "}":
        name, at = _PLAIN.raw_decode(row, at)
        at = _skip(row, _skip(row, at) + 1)
        _, end = _PLAIN.raw_decode(row, at)
        members.append((name, row[at:end]))
        at = _skip(row, end)
        if row[at] == ",":
            at = _skip(row, at + 1)
    return members


def object_of(members: Iterable[tuple[str, str]]) -> str:
    """An object of names and values that are JSON."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members) + "}"


def written_anew(row: str, texts: Set[str], names: Mapping[str, str]) -> str:
    """The row with these columns as text, each scalar as it is written, and with new names."""
    return object_of(
        (names.get(name, name), _as_text(value) if name in texts else value) for name, value in members_of(row)
    )


def _as_text(value: str) -> str:
    return value if value[0] in '"{[n' else json.dumps(value)


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at
