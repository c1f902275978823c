"""A caller's SQL statement and the values of its ``$parameters``, checked for shape before the statement is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from engine.errors import InvalidStatement, quoted_excerpt

MAX_SQL_BYTES = 64 * 1024
MAX_PARAMS = 100
MAX_PARAM_VALUES = 100_000
"""Maximum values of all parameters together."""
MAX_DIGITS = 38
"""Of a number: DuckDB has no exact type for more."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SHAPES = "a string, number, boolean or null, or an array of these"

Scalar = str | int | Decimal | bool | None
ValueKind = Literal["null", "boolean", "integer", "decimal", "text"]


class ParamValue(BaseModel):
    """The value of one parameter as text, so that no number is rounded on its way; None is null.

    A scalar is a single text.
    """

    model_config = ConfigDict(frozen=True)

    kind: ValueKind
    texts: tuple[str | None, ...]
    is_list: bool = False

    @property
    def value(self) -> object:
        """What DuckDB's client binds: integers and decimals become the types of the same numbers in SQL."""
        values = [None if text is None else _BOUND[self.kind](text) for text in self.texts]
        return values if self.is_list else values[0]


_BOUND: Mapping[ValueKind, Callable[[str], Scalar]] = {
    "null": lambda _: None,
    "boolean": lambda text: text == "true",
    "integer": int,
    "decimal": Decimal,
    "text": str,
}

Params = Mapping[str, ParamValue]
"""Values by the names of parameters; names that differ only in letter case are the same."""


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """A statement over the run of a request.

    ``previous`` is the id of another run that it reads, or true for the one executed before. Raises InvalidStatement if
    ``sql`` is longer than `MAX_SQL_BYTES`, or not Unicode.
    """

    sql: str
    params: Params = field(default_factory=dict)
    previous: str | bool = False

    def __post_init__(self) -> None:
        try:
            size = len(self.sql.encode())
        except UnicodeEncodeError:
            raise InvalidStatement("The statement is not valid UTF-8.") from None
        if size > MAX_SQL_BYTES:
            raise InvalidStatement(f"sql exceeds the maximum of {MAX_SQL_BYTES:,} bytes.")

    @property
    def canonical(self) -> list[object]:
        """What distinguishes the statement from others over the same runs.

        The text counts as it is written, but for the blanks around it and a semicolon at its end.
        """
        values = {name.lower(): param.model_dump(mode="json") for name, param in self.params.items()}
        return [self.sql.strip().removesuffix(";").rstrip(), values]


def read_params(values: Mapping[str, object]) -> dict[str, ParamValue]:
    """Check the values of parameters, as a strict JSON parser returns them.

    Raises InvalidStatement, which names the entry and the remedy.
    """
    if len(values) > MAX_PARAMS:
        raise InvalidStatement(f"params has {len(values)} entries; the maximum is {MAX_PARAMS}.", parameter="params")
    params: dict[str, ParamValue] = {}
    names: dict[str, str] = {}
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise _invalid(name, "names have letters, digits and underscores, and do not begin with a digit")
        if names.setdefault(name.lower(), name) != name:
            raise _invalid(name, f"{names[name.lower()]} differs from it only in letter case; use one of them")
        params[name] = _read(name, value)
    count = sum(len(param.texts) for param in params.values())
    if count > MAX_PARAM_VALUES:
        raise InvalidStatement(
            f"params has {count:,} values in total; the maximum is {MAX_PARAM_VALUES:,}.", parameter="params"
        )
    return params


def _read(name: str, value: object) -> ParamValue:
    items = value if isinstance(value, list) else [value]
    kinds = {_kind(name, item) for item in items} - {"null"}
    if kinds == {"integer", "decimal"}:
        kinds = {"decimal"}
    if len(kinds) > 1:
        raise _invalid(name, f"the array has values of several types ({', '.join(sorted(kinds))}); use one type")
    kind: ValueKind = kinds.pop() if kinds else "null"
    return ParamValue(kind=kind, texts=tuple(_text(name, item) for item in items), is_list=isinstance(value, list))


def _kind(name: str, item: object) -> ValueKind:
    match item:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case Decimal():
            return "decimal"
        case str():
            return "text"
    raise _invalid(name, f"the value must be {_SHAPES}; pass an object as a string, and read it as ${name}::JSON")


def _text(name: str, item: object) -> str | None:
    match item:
        case None:
            return None
        case bool():
            return "true" if item else "false"
        case int() | Decimal():
            # Without an exponent, which DuckDB's client misreads.
            text = format(item, "f") if isinstance(item, Decimal) else str(item)
            if sum(character.isdigit() for character in text) > MAX_DIGITS:
                raise _invalid(
                    name, f"a number has at most {MAX_DIGITS} digits; pass it as a string, and cast it: ${name}::DOUBLE"
                )
            return text
    return str(item)


def _invalid(name: str, reason: str) -> InvalidStatement:
    entry = f"params.{name}" if _NAME.fullmatch(name) else f"params[{quoted_excerpt(name)}]"
    return InvalidStatement(f"{entry}: {reason}.", parameter="params", entry=entry)
