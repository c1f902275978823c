"""The statements of a script: where each ends, and which kinds an operator's session runs."""

from dataclasses import dataclass
from enum import Enum, auto

import duckdb

from engine.errors import InvalidRequest


class Kind(Enum):
    """What a statement answers with."""

    ROWS = auto()
    PLAN = auto()
    """EXPLAIN and EXPLAIN ANALYZE."""
    CHANGE = auto()
    """A change of the session itself: temporary tables, views, macros, variables. Rows only with RETURNING."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its semicolon, and the names of its ``$parameters``."""

    text: str
    kind: Kind
    parameters: frozenset[str]

    @property
    def has_rows(self) -> bool:
        """Whether its result is rows. DuckDB 2 would give the number of rows for a change without RETURNING."""
        return self.kind is not Kind.CHANGE or "RETURNING" in _words(self.text)


_TYPES = duckdb.StatementType
_KINDS = {
    _TYPES.SELECT: Kind.ROWS,
    _TYPES.EXPLAIN: Kind.PLAN,
    _TYPES.CREATE: Kind.CHANGE,
    _TYPES.DROP: Kind.CHANGE,
    _TYPES.ALTER: Kind.CHANGE,
    _TYPES.INSERT: Kind.CHANGE,
    _TYPES.UPDATE: Kind.CHANGE,
    _TYPES.DELETE: Kind.CHANGE,
    _TYPES.MERGE_INTO: Kind.CHANGE,
}
"""Everything else is refused; the fence of the session would stop it as well, with a less useful message."""

_SELECTING = frozenset({"(", "DESCRIBE", "FROM", "PIVOT", "PIVOT_WIDER", "SELECT", "SUMMARIZE", "WITH"})
"""First words of statements that only read."""

_UNSUPPORTED = (
    "This statement is not supported here. Use SELECT, FROM, WITH, DESCRIBE, SHOW, SUMMARIZE, PIVOT, or EXPLAIN of "
    "one; CREATE, INSERT, UPDATE, DELETE and DROP for tables of this session; SET VARIABLE."
)


def split(script: str) -> list[str]:
    """The statements of a script, without semicolons and without those that are empty. Raises InvalidRequest."""
    encoded = _encoded(script)
    statements, start, last = [], 0, None
    for offset in _tokens(script):
        if encoded[offset : offset + 1] == b";":
            if last is not None:
                statements.append(encoded[start:offset].decode())
            start, last = offset + 1, None
        else:
            last = offset
    if last is not None:
        statements.append(encoded[start:].decode())
    return statements


def is_complete(script: str) -> bool:
    """Whether the script ends with the semicolon of a statement, not with one in a string or comment."""
    offsets = _tokens(script)
    return bool(offsets) and _encoded(script)[offsets[-1] : offsets[-1] + 1] == b";"


def parse(connection: duckdb.DuckDBPyConnection, text: str) -> Statement:
    """Read one statement. Raises InvalidRequest for a kind that is refused, and duckdb.Error for invalid syntax."""
    parsed = connection.extract_statements(text)
    if not parsed:
        raise InvalidRequest(_UNSUPPORTED, parameter="query")
    # A PIVOT without IN is two statements, the first of which finds the values; in DuckDB 2 it is one of both.
    statement = parsed[-1]
    kind = _KINDS.get(statement.type)
    if statement.type == _TYPES.MULTI and _words(text)[0] in _SELECTING:
        kind = Kind.ROWS
    if statement.type == _TYPES.SET and _words(text)[1:2] == ["VARIABLE"]:
        kind = Kind.CHANGE
    if kind is None or (kind is Kind.PLAN and not _explains_rows(connection, text)):
        raise InvalidRequest(_UNSUPPORTED, parameter="query")
    return Statement(text, kind, frozenset(statement.named_parameters))


def _explains_rows(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether an EXPLAIN is of a SELECT: EXPLAIN ANALYZE runs its statement."""
    encoded, offsets = _encoded(text), _tokens(text)
    first = 2 if _words(text)[1:2] == ["ANALYZE"] else 1
    candidates = [offsets[first]] if first < len(offsets) else []
    if candidates and encoded[offsets[first] :].startswith(b"("):
        # Options, as in EXPLAIN (FORMAT json) SELECT 1, or a statement in parentheses.
        closing = next((at for at in offsets[first:] if encoded[at : at + 1] == b")"), None)
        candidates += [at for at in offsets if closing is not None and at > closing][:1]
    for offset in candidates:
        try:
            found = connection.extract_statements(encoded[offset:].decode())
        except duckdb.Error:
            continue
        return [one.type for one in found][-1:] == [_TYPES.SELECT]
    return False


def _words(text: str) -> list[str]:
    encoded, offsets = _encoded(text), _tokens(text)
    ends = [*offsets[1:], len(encoded)]
    return [encoded[a:b].decode().split(None, 1)[0].upper() for a, b in zip(offsets, ends, strict=True)]


def _tokens(text: str) -> list[int]:
    """The offsets of the tokens, in bytes. Comments are not tokens, nor is a string that is not ended."""
    _encoded(text)
    # Only DuckDB 2 lists comments.
    return [offset for offset, kind in duckdb.tokenize(text) if kind != duckdb.token_type.comment]


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("The query is not valid UTF-8.", parameter="query") from None
