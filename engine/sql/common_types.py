"""The types of columns over several runs, in which no value of any of them changes."""

from collections.abc import Iterable, Mapping
from typing import Any

from engine.catalog.types import INTEGER_BITS
from engine.common.quoting import identifier, literal

_FLOATS = frozenset({"FLOAT", "DOUBLE"})


def common_types(sources: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The type of each column, by its name in lower case; ``columns`` of a source are names and types, as SQL.

    Numbers of several types are a DOUBLE if one of them is; objects and lists of several types are JSON; other columns
    of several types are text. Numbers without a DOUBLE have the name NUMBER: DuckDB finds a type that holds them all.
    """
    found: dict[str, set[str]] = {}
    for source in sources:
        for name, type_ in source["columns"]:
            found.setdefault(name.lower(), set()).add(type_)
    return {name: _common(types) for name, types in found.items()}


def cell_as(name: str, type_: str, common: str) -> str:
    """SQL for a column of one run as the common type; reading a number that it cannot hold raises an error."""
    cell = identifier(name)
    if common in (type_, "NUMBER"):
        return cell
    if common == "JSON":
        return f"to_json({cell}) AS {cell}"
    if common == "DOUBLE" and type_ not in _FLOATS:
        message = literal(f"{name} has numbers that a DOUBLE would round in one run, and is a DOUBLE in another")
        exact = f"CAST(CAST({cell} AS DOUBLE) AS DECIMAL(38,{_scale(type_)})) = {cell}"
        return f"CASE WHEN {exact} IS NOT FALSE THEN CAST({cell} AS DOUBLE) ELSE error({message}) END AS {cell}"
    return f"CAST({cell} AS {common}) AS {cell}"


def is_nested(type_: str) -> bool:
    """Whether values of the type have members or elements."""
    return type_.endswith("]") or type_.startswith(("STRUCT(", "MAP("))


def _common(types: set[str]) -> str:
    if len(types) == 1:
        return next(iter(types))
    if all(_is_number(type_) for type_ in types):
        return "DOUBLE" if types & _FLOATS else "NUMBER"
    return "JSON" if any(map(is_nested, types)) else "VARCHAR"


def _is_number(type_: str) -> bool:
    return type_ in INTEGER_BITS or type_ in _FLOATS or type_.startswith("DECIMAL(")


def _scale(type_: str) -> str:
    return type_.rpartition(",")[2].rstrip(")") if type_.startswith("DECIMAL(") else "0"
