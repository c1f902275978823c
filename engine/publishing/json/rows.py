"""One reading of a file's rows: what they hold, and how DuckDB has to be told to read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.catalog.field_names import MAX_COLUMNS
from engine.errors import InvalidInput
from engine.publishing.json.columns import Place
from engine.publishing.json.document import lists_of_objects
from engine.publishing.json.shapes import BadRow, Kind, Shape, ShapeDecoder, check_surrogates
from engine.publishing.json.text import JsonText

_LONG_ROW = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file that DuckDB can read as it is: ``layout`` is DuckDB's name of its form."""

    path: Path
    layout: str
    rows: int
    longest_row: int
    """Bytes, roughly; exact for rows of more than some megabytes."""


def scan(path: Path, name: str, root: Place, *, may_be_document: bool) -> RowFile:
    """Read all rows into ``root``, the place of the rows. Raises InvalidInput that names the file and the row.

    A file that is one object may be a document with rows in it (``may_be_document``): that is refused with their path.
    """
    decoder, known, longest, number, one_per_line = ShapeDecoder(), set(), 0, 0, True
    with JsonText(path, name) as text:
        is_list = text.peek() == "["
        try:
            for value, row, on_its_line in _values(text, decoder, is_list=is_list):
                if value.__class__ is not Shape or value.members is None:
                    raise BadRow(f"the row is {_what(decoder.seen(value))}, and every row is an object")
                if len(row) > longest:
                    longest = len(row) if len(row) < _LONG_ROW else len(row.encode("utf-8", "surrogatepass"))
                if "\\ud" in row or "\\uD" in row:
                    check_surrogates(row)
                one_per_line = one_per_line and (number == 0 or on_its_line) and "\n" not in row
                if value not in known:
                    known.add(value)
                    root.add(value)
                    _check_columns(root)
                    if decoder.forget():
                        known.clear()
                        root.bound()
                number += 1
        except BadRow as error:
            raise InvalidInput(f"{name}, row {number + 1:,} (line {text.line:,}): {error}.") from None
        if is_list and text.peek():
            raise text.malformed("there is more after the end of the list")
    root.bound()
    if may_be_document and not is_list and number == 1:
        _refuse_document(path, name)
    layout = "array" if is_list else "newline_delimited" if one_per_line else "unstructured"
    return RowFile(path, layout, number, longest)


def _values(text: JsonText, decoder: ShapeDecoder, *, is_list: bool) -> Iterator[tuple[Any, str, bool]]:
    """Each value with its text, and whether a line ended before it."""
    if is_list:
        for _ in text.items("the list of rows"):
            yield *text.value(decoder.json), False
    else:
        while text.peek():
            on_its_line = text.line_break
            yield *text.value(decoder.json), on_its_line


def _check_columns(root: Place) -> None:
    if root.members is not None and len(root.members) > MAX_COLUMNS:
        raise InvalidInput(
            f"The rows have more than {MAX_COLUMNS:,} different members, which look like data rather than names of "
            "columns: bring them as one object in a column."
        )


def _refuse_document(path: Path, name: str) -> None:
    with JsonText(path, name) as text:
        lists = lists_of_objects(text)
    if len(lists) == 1:
        other = " (or --format geojson, if they are features of GeoJSON)" if lists[0] == "features" else ""
        raise InvalidInput(f"{name} is one object, and its rows are in a list: use --json-path {lists[0]}{other}.")
    if lists:
        raise InvalidInput(
            f"{name} is one object with several lists of objects: name the one that has the rows with --json-path: "
            f"{', '.join(lists[:20])}."
        )


def _what(seen: Shape | Kind) -> str:
    if isinstance(seen, Shape):
        return "a list"
    return {Kind.NULL: "null", Kind.BOOLEAN: "a boolean", Kind.TEXT: "text"}.get(seen, "a number")
