"""Check cells of exported files against their values, web/API.md, section 5."""

import math
import re
from decimal import Decimal
from typing import Any

from tests.helpers.format_oracle import Cell, is_compact, loads_exactly, text_of
from tests.helpers.sheets import SheetCell, agrees
from tests.property import shapes
from tests.property.cells import rounded
from tests.property.shapes import Shape

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def is_number(shape: Shape, value: Any, spelled: Any) -> bool:
    """Whether a text or a parsed number is exactly that value."""
    if shape.family in (shapes.FLOAT, shapes.DOUBLE):
        read = float(spelled)
        return same_float(rounded(read) if shape.family == shapes.FLOAT else read, value)
    return bool(Decimal(spelled) == value)


def same_float(one: float, other: float) -> bool:
    """Equal, with NaN equal to itself. 0.0 equals -0.0: the sign is lost if a Parquet dictionary has both."""
    return one == other or (math.isnan(one) and math.isnan(other))


def in_csv(shape: Shape, value: Any, cell: Cell, *, alone: bool = False, guard: bool = False) -> bool:
    """Whether a CSV cell is right. In a file of one column (``alone``) a null is quoted, too."""
    if value is None:
        return cell == Cell("", quoted=alone)
    if not cell.text and not cell.quoted:
        return False
    match shape.family:
        case shapes.DECIMAL:
            return re.fullmatch(r"-?\d+(\.\d+)?", cell.text) is not None and is_number(shape, value, cell.text)
        case shapes.FLOAT | shapes.DOUBLE if guard and value == -math.inf:
            return cell.text == "'-Infinity"
        case shapes.FLOAT | shapes.DOUBLE:
            if cell.text in _INFINITE:
                return same_float(_INFINITE[cell.text], value)
            return _NUMBER.fullmatch(cell.text) is not None and is_number(shape, value, cell.text)
        case shapes.JSON:
            return in_json(shape, value, loads_exactly(cell.text))
        case shapes.LIST | shapes.STRUCT | shapes.MAP:
            return is_compact(cell.text) and in_json(shape, value, loads_exactly(cell.text))
        case shapes.TEXT | shapes.BINARY if guard:
            return cell.text == guarded(text_of(value))
        case _:
            return cell.text == text_of(value)


def guarded(text: str) -> str:
    """Text with a quote before it if a spreadsheet would run it as a formula; numbers are left alone."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def in_json(shape: Shape, value: Any, parsed: Any) -> bool:
    """Whether a parsed JSON value, with exact numbers, is right."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return parsed is None
    match shape.family:
        case shapes.INTEGER:
            return type(parsed) is int and parsed == value
        case shapes.DECIMAL | shapes.FLOAT | shapes.DOUBLE:
            return type(parsed) in (int, Decimal) and is_number(shape, value, parsed)
        case shapes.BOOLEAN:
            return parsed is value
        case shapes.JSON:
            return same_json(loads_exactly(value), parsed)
        case shapes.LIST | shapes.STRUCT | shapes.MAP:
            return _nested_in_json(shape, value, parsed)
        case _:
            return type(parsed) is str and parsed == text_of(value)


def _nested_in_json(shape: Shape, value: Any, parsed: Any) -> bool:
    if shape.family == shapes.LIST:
        pairs = zip(value, parsed, strict=True)
        return type(parsed) is list and all(in_json(shape.item, item, found) for item, found in pairs)
    if type(parsed) is not dict:
        return False
    if shape.family == shapes.STRUCT:
        names = [name for name, _ in shape.children]
        return list(parsed) == names and all(
            in_json(child, value[name], parsed[name]) for name, child in shape.children
        )
    (_, key), (_, inner) = shape.children
    pairs = zip(value, parsed.items(), strict=True)
    return all(_is_key(key, name, text) and in_json(inner, item, found) for (name, item), (text, found) in pairs)


def _is_key(shape: Shape, key: Any, text: str) -> bool:
    """The key of a map has the text of a CSV cell."""
    return in_csv(shape, key, Cell(text, quoted=True))


def same_json(one: Any, other: Any) -> bool:
    """Equal in value: 1.0 is 1, but true is not."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same_json(one[name], other[name]) for name in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def in_xlsx(shape: Shape, value: Any, cell: SheetCell) -> bool:
    """Whether a cell of a sheet is right."""
    match shape.family:
        case shapes.FLOAT if value is not None and math.isfinite(value):
            return (cell.kind, cell.style) == ("n", 0) and is_number(shape, value, cell.text)
        case shapes.JSON | shapes.LIST | shapes.STRUCT | shapes.MAP if value is not None:
            return (cell.kind, cell.style) == ("s", 0) and in_csv(shape, value, Cell(cell.text, quoted=True))
    return agrees(value, cell)


def in_parquet(shape: Shape, value: Any, found: Any) -> bool:
    """Whether a Python value that Arrow read is right."""
    if value is None or found is None:
        return value is found
    match shape.family:
        case shapes.FLOAT | shapes.DOUBLE:
            return same_float(value, found)
        case shapes.LIST:
            return len(value) == len(found) and all(map(in_parquet, [shape.item] * len(value), value, found))
        case shapes.STRUCT:
            return list(found) == [n for n, _ in shape.children] and all(
                in_parquet(child, value[n], found[n]) for n, child in shape.children
            )
        case shapes.MAP:
            (_, key), (_, inner) = shape.children
            pairs = zip(value, found, strict=False)
            return len(value) == len(found) and all(
                in_parquet(key, mine[0], theirs[0]) and in_parquet(inner, mine[1], theirs[1]) for mine, theirs in pairs
            )
        case _:
            return type(value) is type(found) and bool(value == found)
