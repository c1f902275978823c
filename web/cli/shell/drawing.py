"""Draws rows as text: a box, one line for each cell, or a Markdown table."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from engine.query.inspect.text_rows import Row, TextRows
from web.cli.terminal.progress_bar import counted
from web.cli.terminal.tabbed import width_of

NULL = "NULL"

_MEASURED_ROWS = 10_000
"""Columns are as wide as in these rows; a wider cell after them moves the rest of its line, and nothing is cut."""

_END_ROWS = 20
"""Rows shown of each end of a long result on a terminal."""

_MIN_WIDTH = 12
"""Cells are not cut to less than this to show more columns."""

_NUMBERS = {
    "TINYINT": "int8", "SMALLINT": "int16", "INTEGER": "int32", "BIGINT": "int64", "HUGEINT": "int128",
    "UTINYINT": "uint8", "USMALLINT": "uint16", "UINTEGER": "uint32", "UBIGINT": "uint64", "UHUGEINT": "uint128",
    "FLOAT": "float", "DOUBLE": "double",
}  # fmt: skip
"""Types that are aligned to the right, with the names that DuckDB's program draws."""


_BORDER = 3
"""Characters between two cells."""

_GAP = 1 + _BORDER
"""Characters of the column that stands for those left out."""

_SKIPPED = "·"
_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")


@dataclass(frozen=True, slots=True)
class Screen:
    """A terminal that the drawing has to fit: its width in characters, and how a user can see what is cut."""

    columns: int
    advice: str


Drawing = Callable[[TextRows, Screen | None], Iterator[str]]
"""Yields text line by line. On a screen, long and wide results are cut, and a last line says so."""


def draw_box(rows: TextRows, screen: Screen | None) -> Iterator[str]:
    """A table with borders, names and types."""
    if screen is None:
        yield from _streamed_box(rows)
    else:
        yield from _fitted_box(rows, screen)


def draw_lines(rows: TextRows, _screen: Screen | None) -> Iterator[str]:
    """``name = value`` for each cell, and an empty line between rows. Nothing is cut."""
    names = [_printable(name) for name in rows.names]
    width = max(map(width_of, names), default=0)
    first = True
    for row in _all_rows(rows):
        if not first:
            yield ""
        first = False
        for name, cell in zip(names, row, strict=True):
            yield f"{_padded(name, width, right=True)} = {_shown(cell)}"


def draw_markdown(rows: TextRows, _screen: Screen | None) -> Iterator[str]:
    """A Markdown table. Nothing is cut."""
    yield _markdown_line(map(_printable, rows.names))
    yield _markdown_line("---:" if _is_number(type_) else "---" for type_ in rows.types)
    for row in _all_rows(rows):
        yield _markdown_line("" if cell is None else _printable(cell) for cell in row)


def _markdown_line(cells: "Iterator[str] | map[str]") -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _streamed_box(rows: TextRows) -> Iterator[str]:
    pages = rows.pages()
    measured: list[Row] = []
    for page in pages:
        measured += page
        if len(measured) >= _MEASURED_ROWS:
            break
    widths = _natural_widths(rows, measured)
    box = _Box(widths, [_is_number(type_) for type_ in rows.types])
    yield from box.head(rows)
    for row in chain(measured, chain.from_iterable(pages)):
        yield box.line([_shown(cell) for cell in row])
    yield box.rule("└┴┘")


def _fitted_box(rows: TextRows, screen: Screen) -> Iterator[str]:
    ends = rows.ends(_END_ROWS, _END_ROWS)
    shown = len(ends.first) + len(ends.last)
    widths = _natural_widths(rows, [*ends.first, *ends.last])
    kept = _columns_that_fit(widths, screen.columns)
    # Where the columns stop being consecutive.
    gap = next((at for at, index in enumerate(kept) if index != at), len(kept)) if len(kept) < len(widths) else None
    borders = _BORDER * len(kept) + 1 + (_GAP if gap else 0)
    limit = _limit([widths[index] for index in kept], screen.columns - borders)
    box = _Box([min(widths[index], limit) for index in kept], [_is_number(rows.types[index]) for index in kept], gap)

    def lines(found: list[Row]) -> Iterator[str]:
        return (box.line([_cut(_shown(row[index]), limit) for index in kept]) for row in found)

    yield from box.head(rows, kept)
    yield from lines(ends.first)
    if shown < ends.count:
        yield from [box.line([_SKIPPED] * len(kept))] * 3
    yield from lines(ends.last)
    yield box.rule("└┴┘")
    counted_rows = counted(ends.count, "row") + (f" ({shown} shown)" if shown < ends.count else "")
    cuts = [f"{len(widths)} columns ({len(kept)} shown)"] if gap else []
    cuts += ["long values cut"] if any(widths[index] > limit for index in kept) else []
    advice = f". {screen.advice}" if cuts or shown < ends.count else ""
    yield ", ".join([counted_rows, *cuts]) + advice


class _Box:
    """Lines of one table. ``gap`` is the column before which columns are left out."""

    def __init__(self, widths: Sequence[int], right: Sequence[bool], gap: int | None = None) -> None:
        self._widths = list(widths)
        self._right = list(right)
        self._gap = gap
        if gap is not None:
            self._widths.insert(gap, 1)
            self._right.insert(gap, False)

    def head(self, rows: TextRows, kept: Sequence[int] | None = None) -> Iterator[str]:
        """The lines above the rows."""
        columns = range(len(rows.names)) if kept is None else kept
        yield self.rule("┌┬┐")
        for texts in (map(_printable, rows.names), map(_type, rows.types)):
            names = list(texts)
            widths = self._widths if self._gap is None else [*self._widths[: self._gap], *self._widths[self._gap + 1 :]]
            cells = [_cut(names[index], width) for index, width in zip(columns, widths, strict=True)]
            yield self.line(cells, centred=True)
        yield self.rule("├┼┤")

    def rule(self, corners: str) -> str:
        """A horizontal line."""
        return corners[0] + corners[1].join("─" * (width + 2) for width in self._widths) + corners[2]

    def line(self, cells: list[str], *, centred: bool = False) -> str:
        """The cells of one row."""
        if self._gap is not None:
            cells = [*cells[: self._gap], "…", *cells[self._gap :]]
        drawn = [
            _centred(cell, width) if centred or cell == _SKIPPED else _padded(cell, width, right=right)
            for cell, width, right in zip(cells, self._widths, self._right, strict=True)
        ]
        return f"│ {' │ '.join(drawn)} │"


def _natural_widths(rows: TextRows, measured: list[Row]) -> list[int]:
    widths = [
        max(width_of(_printable(name)), len(_type(type_))) for name, type_ in zip(rows.names, rows.types, strict=True)
    ]
    for row in measured:
        for index, cell in enumerate(row):
            widths[index] = max(widths[index], width_of(_shown(cell)))
    return widths


def _columns_that_fit(widths: list[int], room: int) -> list[int]:
    """The columns of both ends that fit, each at its least width; all if possible, and always one."""
    needed = [min(width, _MIN_WIDTH) + _BORDER for width in widths]
    if sum(needed) < room:
        return list(range(len(widths)))
    left, right, used = 1, len(widths), needed[0] + _GAP
    while True:
        from_right = len(widths) - right < left
        at = right - 1 if from_right else left
        used += needed[at]
        if used >= room:
            break
        left, right = (left, at) if from_right else (at + 1, right)
    return [*range(left), *range(right, len(widths))]


def _limit(widths: list[int], room: int) -> int:
    """The greatest width such that columns that are cut to it fit in ``room``."""
    remaining = room
    for place, width in enumerate(sorted(widths)):
        share = remaining // (len(widths) - place)
        if width > share:
            return max(share, 1)
        remaining -= width
    return max(widths)


def _shown(cell: str | None) -> str:
    return NULL if cell is None else _printable(cell)


def _printable(text: str) -> str:
    """The text in one line, without characters that could change what a terminal shows."""
    return text if text.isprintable() else _CONTROLS.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return repr(character)[1:-1]


def _type(name: str) -> str:
    return _NUMBERS.get(name, name.lower())


def _is_number(type_: str) -> bool:
    return type_ in _NUMBERS or type_.startswith("DECIMAL")


def _padded(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def _centred(text: str, width: int) -> str:
    missing = max(width - width_of(text), 0)
    return " " * (missing // 2) + text + " " * (missing - missing // 2)


def _cut(text: str, width: int) -> str:
    if width_of(text) <= width:
        return text
    end = min(len(text), width)
    while end and width_of(text[:end]) > width - 1:
        end -= 1
    return text[:end] + "…"


def _all_rows(rows: TextRows) -> Iterator[Row]:
    return chain.from_iterable(rows.pages())
