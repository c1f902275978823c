"""Generate requests for a dataset, most of them valid."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from decimal import Context, Decimal
from math import inf, isfinite, nextafter
from random import Random
from typing import Any

import numpy as np

from engine.request.formats import FORMATS
from engine.request.request import CsvOptions, ExportRequest
from tests.helpers.engine import WORKFLOW
from tests.helpers.operator_oracle import COMPARISONS, TEMPORAL
from tests.property import shapes
from tests.property.cells import WORDS
from tests.property.cells import cell as cell_of
from tests.property.datasets import Dataset
from tests.property.meaning import NULLS, OPERATORS, SUBSTRINGS
from tests.property.reading import nanoseconds, number
from tests.property.sending import Sending, spell
from tests.property.shapes import Shape
from web.api.parameters import make_request, read_body, read_query, read_url_ttl

Entry = dict[str, Any]
_EXACT = Context(prec=60)
_MOMENTS = ["2026-06-15", "2026-06-15T12:30:15Z", "2026-06-15T14:30:15.000001+02:00", "0001-01-01", "2026-06-15T12:30"]
_NUMBERS: list[Any] = [5, Decimal("-0.5"), "5", "1e3", Decimal("1E-30"), "9007199254740993", "1e400"]
MAX_EXPIRES_IN = 86_400
"""Seconds: the default of TAILRACE_URL_TTL_SECONDS."""
_SENDINGS = (
    Sending(),
    Sending("url"),
    Sending("url", " "),
    *(Sending("commas", each) for each in ("", " ", "\t", " \n ")),
)
_ODD: tuple[Any, ...] = (None, True, "", "soon", "2026-02-30", "NaN", [], [None], ["a", []], {}, 0, -1, Decimal("1.5"))
CHANGE = "_change"
_OF_CHANGES: list[Entry] = [
    *({"operator": name, "value": "removed"} for name in ("EQUALS", "NOT_EQUALS", "STARTS_WITH", "NOT_CONTAINS")),
    *({"operator": name, "value": ["added", "changed"]} for name in ("IN", "NOT_IN")),
    *({"operator": name} for name in ("IS_NULL", "IS_NOT_EMPTY")),
]
_ODD_LIVES = (59, -60, MAX_EXPIRES_IN + 1, 10**30, Decimal("60.5"), "soon", "\u0666\u0660")


@dataclass(frozen=True)
class GeneratedRequest:
    """A generated request."""

    format: str = "json"
    filters: tuple[Entry, ...] = ()
    sort_by: str | None = None
    descending: bool = False
    row_ids: tuple[str, ...] | None = None
    include_row_ids: bool = False
    fields: tuple[str, ...] | None = None
    flatten: bool = False
    compression: str = "none"
    csv: CsvOptions = field(default_factory=CsvOptions)
    expires_in: Any = None
    since_run: str | None = None
    sending: Sending = field(default_factory=Sending)

    def parameters(self, run: str) -> dict[str, Any]:
        """What is sent: the names of web/API.md, section 1, without those that have their default."""
        usual = GeneratedRequest()
        sent = {
            "filters": list(self.filters),
            "sortBy": self.sort_by,
            "order": "desc" if self.descending else None,
            "rowIds": None if self.row_ids is None else list(self.row_ids),
            "includeRowIds": self.include_row_ids,
            "fields": None if self.fields is None else list(self.fields),
            "flatten": self.flatten,
            "compression": None if self.compression == usual.compression else self.compression,
            "bom": self.csv.bom,
            "delimiter": None if self.csv.delimiter == usual.csv.delimiter else self.csv.delimiter,
            "formulaGuard": self.csv.formula_guard,
            "expiresIn": self.expires_in,
            "sinceRunId": self.since_run,
        }
        # An empty list of row ids is not the default.
        return {"format": self.format, "runId": run} | {
            name: value for name, value in sent.items() if value or (name == "rowIds" and value is not None)
        }

    def request(self, run: str) -> ExportRequest:
        """The request for the engine, read by the service from the URL or the body. Raises InvalidRequest."""
        parameters = self.parameters(run)
        if self.sending.form == "body":
            values = read_body(spell(parameters).encode())
        else:
            values = read_query(self.sending.query(parameters))
        life = read_url_ttl(values, MAX_EXPIRES_IN)
        assert life == timedelta(seconds=self.expires_in or MAX_EXPIRES_IN)
        return make_request(WORKFLOW, values)


def _suited(shape: Shape) -> list[str]:
    """The operators that can be applied to a type."""
    found = ["IS_NULL", "IS_NOT_NULL"]
    if shape.family not in (shapes.STRUCT, shapes.MAP):
        found += ["IS_EMPTY", "IS_NOT_EMPTY"]
    element = shape.item if shape.family == shapes.LIST else shape
    if element.family not in (*shapes.NESTED, shapes.TIME, shapes.BINARY, shapes.JSON):
        found += ["EQUALS", "NOT_EQUALS", "IN", "NOT_IN"] * 3
    if element.family in (shapes.TEXT, shapes.UUID):
        found += [*SUBSTRINGS, "NOT_CONTAINS"] * 3
    if shape.family in (shapes.INTEGER, shapes.DECIMAL, shapes.FLOAT, shapes.DOUBLE):
        found += [*COMPARISONS] * 3
    if shape.family in (shapes.TEXT, shapes.DATE, shapes.TIMESTAMP):
        found += [*COMPARISONS, *TEMPORAL, "WITHIN_LAST_DAYS", "WITHIN_LAST_DAYS"]
    return found


def _near(shape: Shape, cell: Any) -> Iterator[Any]:
    """Values equal to a cell, just beside it, or written differently."""
    match shape.family:
        case shapes.TEXT | shapes.UUID:
            text = str(cell)[:50]
            yield from (text, text[:2], text[-2:], text[1:3], text + "x")
            yield from (text.swapcase(), text.upper()) if shape.family == shapes.TEXT else ()
        case shapes.INTEGER | shapes.DECIMAL:
            text = format(cell, "f")
            yield from (cell, cell, text, f"{text}e0", Decimal(f"{text}5" if "." in text else f"{text}.5"))
            step = Decimal(1).scaleb(-shape.arrow.scale) if shape.family == shapes.DECIMAL else 1
            yield from (_EXACT.add(cell, step), _EXACT.subtract(cell, step))
        case shapes.FLOAT | shapes.DOUBLE:
            yield from _near_float(shape, cell)
        case shapes.BOOLEAN:
            yield from (cell, not cell, "true", "false")
        case shapes.DATE | shapes.TIMESTAMP:
            yield from _near_moment(cell)


def _near_float(shape: Shape, cell: float) -> Iterator[Any]:
    if not isfinite(cell):
        yield from (Decimal("1e400"), Decimal("-1e400"), "1e400", Decimal("1e39"), 0)
        return
    short = repr(cell) if shape.family == shapes.DOUBLE else str(np.float32(cell))
    yield from (Decimal(short), short, Decimal(repr(cell)), int(cell), Decimal("1e400"), "-1e400")
    yield from (Decimal(repr(number)) for toward in (inf, -inf) if isfinite(number := nextafter(cell, toward)))


def _near_moment(cell: date) -> Iterator[str]:
    moment = cell if isinstance(cell, datetime) else datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001  # a text
    text = moment.replace(tzinfo=None).isoformat()
    yield from (text[:10], f"{text}Z", text, text.replace("T", " "), f"{text}+00:00")
    if not moment.microsecond:
        yield from (f"{text}.0000001Z", f"{text}.000000000Z", text[:16])
    if 2 < moment.year < 9998:
        zone = timezone(timedelta(hours=-9, minutes=-30))
        yield moment.replace(tzinfo=None).isoformat() + "+05:30"
        yield (moment + timedelta(microseconds=1)).replace(tzinfo=zone).isoformat()
        yield f"{(moment - timedelta(microseconds=1)).replace(tzinfo=None).isoformat()}Z"
        yield (moment + timedelta(days=1)).date().isoformat()


def _scalar(chance: Random, shape: Shape, pool: list[Any]) -> Any:
    near = list(_near(shape, chance.choice(pool) if pool else cell_of(chance, shape)))
    if shape.family == shapes.TEXT:
        near = [*near, chance.choice(WORDS)] if chance.random() < 0.9 else [5, Decimal("5.0"), Decimal("-0.5"), True]
    return chance.choice(near or ["", "a", 5, "2026-06-15", True])


def value_for(chance: Random, operator: str, shape: Shape, pool: list[Any]) -> Any:
    """A random value for an operator on a column with these cells."""
    if operator in NULLS:
        return None
    if operator == "WITHIN_LAST_DAYS":
        return chance.choice([1, 2, 3, 30, 800_000, 10**9])
    if shape.family == shapes.LIST:
        shape, pool = shape.item, [item for cell in pool for item in cell if item is not None]
    if operator in ("IN", "NOT_IN"):
        return [_scalar(chance, shape, pool) for _ in range(chance.randint(0, 4))]
    if shape.family == shapes.TEXT and operator in (*COMPARISONS, *TEMPORAL):
        known = [cell for cell in pool if nanoseconds(cell) or (operator in COMPARISONS and number(cell))]
        fixed = _MOMENTS if operator in TEMPORAL else _MOMENTS + _NUMBERS
        return chance.choice(known if known and chance.random() < 0.5 else fixed)
    value = _scalar(chance, shape, pool)
    return str(value) if operator in SUBSTRINGS or operator == "NOT_CONTAINS" else value


def entry_for(chance: Random, data: Dataset, *, odd: bool = True) -> Entry:
    """A random filter; one in twelve may be invalid."""
    if data.of_changes and chance.random() < 0.2:
        return {"field": CHANGE, **chance.choice(_OF_CHANGES)}
    column = chance.choice(list(data.columns))
    inside = [place for place in data.places.values() if place.names[0] == column]
    place = chance.choice(inside)
    strange = odd and chance.random() < 0.08
    operator = chance.choice(OPERATORS if strange else _suited(place.shape))
    pool = [cell for known in data.pools[column] if (cell := place.of({column: known})) is not None]
    meant = value_for(chance, operator, place.shape, pool)
    value = chance.choice(_ODD) if strange and chance.random() < 0.5 else meant
    path = place.path
    if odd and chance.random() < 0.02:
        path = chance.choice(["nothing", "_row_id", "_hash_low", f"{path}.x", path.upper() + "?", "%"])
    return {"field": path, "operator": operator} | ({} if value is None else {"value": value})


def request_for(chance: Random, data: Dataset, format_name: str, *, odd: bool = True) -> GeneratedRequest:
    """A random request with up to four filters."""
    count = chance.choice([0, 1, 1, 1, 1, 1, 2, 3, 4])
    filters = [entry_for(chance, data, odd=odd) for _ in range(count)]
    asked = GeneratedRequest(format_name, tuple(filters), include_row_ids=chance.random() < 0.25)
    strange = odd and chance.random() < 0.04
    sortable = [place.path for place in data.places.values() if strange or is_sortable(place.shape)]
    if sortable and chance.random() < 0.5:
        asked = replace(asked, sort_by=chance.choice(sortable), descending=chance.random() < 0.5)
    if chance.random() < 0.15:
        known = [*data.row_ids, "unknown", "' OR 1=1 --", "%", "é"]
        ids = [chance.choice(known) for _ in range(chance.randint(1, 30))]
        if odd and chance.random() < 0.05:
            ids = chance.choice([[], ["", *ids]])
        asked = replace(asked, row_ids=tuple(ids))
    if chance.random() < 0.25:
        paths = chance.sample(list(data.places), chance.randint(1, min(4, len(data.places))))
        if odd and chance.random() < 0.05:
            paths.append(chance.choice(["nothing", "_row_id", "_change", f"{paths[0]}.x", "%", paths[0]]))
        asked = replace(asked, fields=tuple(paths))
    asked = replace(asked, flatten=chance.random() < 0.2)
    strange = odd and chance.random() < 0.01
    if (strange or not FORMATS[format_name].compressed) and chance.random() < 0.3:
        asked = replace(asked, compression=chance.choice(["gzip", "zstd"]))
    if (strange or format_name == "csv") and chance.random() < 0.5:
        delimiter = chance.choice(["comma", "semicolon", "tab"])
        asked = replace(asked, csv=CsvOptions(chance.random() < 0.5, delimiter, chance.random() < 0.5))
    if chance.random() < 0.2:
        lives = [60, 61, 3600, MAX_EXPIRES_IN]
        asked = replace(asked, expires_in=chance.choice(lives if not odd or chance.random() < 0.9 else _ODD_LIVES))
    return replace(asked, sending=chance.choice(_SENDINGS))


def is_sortable(shape: Shape) -> bool:
    """Whether a type can be sorted."""
    return shape.family not in (*shapes.NESTED, shapes.JSON)
