"""An export request held against a run: everything that decides the bytes, checked, before any is written."""

from dataclasses import dataclass, replace
from datetime import datetime

from engine.catalog.manifest import Run
from engine.catalog.schema import ROW_ID, Field, Reference
from engine.catalog.types import TEXT, Family
from engine.common.ids import export_id
from engine.errors import InvalidFilter, InvalidRequest, shown
from engine.plan.predicate import Parameters, compile_filter
from engine.plan.pruning import Wanted, condition_of, keep
from engine.plan.ranges import MOST_PIECES, TARGET_BYTES, Kept, Range, cut, pick, whole
from engine.plan.row_ids import rows_of
from engine.request.operators import Kind
from engine.request.request import ExportRequest

OUTPUT_VERSION = 8
"""Raised with every change of the bytes that a request leads to, so that older objects are not taken for the new."""

PARQUET_RANGE_BYTES = 32 * 1024 * 1024
"""Parquet bytes whose kept rows begin a new row group of a filtered Parquet export."""

MOST_BOUND = 100_000
"""Values that the pieces of a sort bind together: 50,000 ids in each of eight took 72 MB, in one 9."""

PICKED_RANGES = 8
"""How many ranges' bytes a range of picked rows may touch: little comes out of it, and each opens its part anew."""

_SORTABLE = frozenset(Family) - {Family.LIST, Family.OBJECT, Family.MAP, Family.JSON, Family.INTERVAL}


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to read, keep, order and write. ``predicate`` is SQL or empty; ``parameters`` are what it binds.

    ``sought`` are row ids that the predicate does not speak of: how they are found differs between ranges.
    """

    export_id: str
    request: ExportRequest
    run: Run
    fields: tuple[Field, ...]
    predicate: str
    parameters: dict[str, object]
    sought: tuple[str, ...] | None
    sort: Reference | None
    kept: Kept
    ranges: tuple[Range, ...]
    scan: tuple[Range, ...]
    """The rows to read as ranges in run order; a sorted file is a single range of ``ranges``."""

    @property
    def keeps_all(self) -> bool:
        """Whether every row of the run is delivered."""
        return not self.predicate and self.sought is None

    @property
    def takes_row_groups(self) -> bool:
        """Whether the file is the run's own row groups, all of them, in the order and the types that they have."""
        return self.keeps_all and self.sort is None and self.request.format.name == "parquet" and bool(self.run.parts)


def make_plan(request: ExportRequest, run: Run, *, now: datetime, range_bytes: int = TARGET_BYTES) -> ExportPlan:
    """Plan an export at a moment in UTC. Raises InvalidRequest for what the run's schema does not allow."""
    parameters = Parameters()
    columns = [_found(run, entry.field, InvalidFilter, "filters", entry.place) for entry in request.filters]
    filters = list(zip(request.filters, columns, strict=True))
    predicates = [compile_filter(entry, column, parameters, now) for entry, column in filters]
    conditions = [condition_of(entry, column, now) for entry, column in filters]
    sort = _sort(request, run)
    if request.row_ids is not None:
        conditions.append(Wanted(ROW_ID, TEXT, points=tuple(sorted(request.row_ids))))
        if sort is not None:
            predicates.append(has_id(parameters.bind(list(request.row_ids), "VARCHAR[]")))
    kept = [keep(part.row_groups, [condition for condition in conditions if condition]) for part in run.parts]
    scan, ranges = _cut(request, run, kept, range_bytes)
    return ExportPlan(
        export_id=export_id(_canonical(request, run, now)),
        request=request,
        run=run,
        fields=run.table.written(row_ids=request.include_row_ids),
        predicate=" AND ".join(predicates),
        parameters=parameters.values,
        sought=request.row_ids if sort is None else None,
        sort=sort,
        kept=kept,
        ranges=ranges,
        scan=scan,
    )


def narrowed(plan: ExportPlan, kept: Kept, *, range_bytes: int = TARGET_BYTES) -> ExportPlan:
    """The plan of the same file from fewer row groups: the others have no row of it."""
    scan, ranges = _cut(plan.request, plan.run, kept, range_bytes)
    return replace(plan, kept=kept, scan=scan, ranges=ranges)


def _cut(request: ExportRequest, run: Run, kept: Kept, range_bytes: int) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """What is read, and what is written: the same, unless there is an order."""
    ordered = request.sort_by is not None
    rows = None if request.row_ids is None or ordered else rows_of(run, request.row_ids)
    # Row groups end where a range does, so the ranges of a Parquet file are a part of what it is.
    if request.format.name == "parquet" and not ordered:
        range_bytes = PARQUET_RANGE_BYTES
    elif rows is not None:
        range_bytes *= PICKED_RANGES
    scan = cut(run.parts, range_bytes, kept) if rows is None else pick(run.parts, rows, range_bytes, kept)
    if not ordered:
        return scan, scan
    # Each piece has conditions of its own, with what these bind.
    bound = len(request.row_ids or ()) + sum(_bound(entry.value) for entry in request.filters)
    return scan, whole(run.parts, kept, min(MOST_PIECES, MOST_BOUND // max(1, bound)))


def _bound(value: object) -> int:
    return len(value) if isinstance(value, tuple) else 1


def has_id(ids: str) -> str:
    """The SQL that is true for rows whose id is one of a list."""
    return f"{ROW_ID} IN (SELECT unnest({ids}))"


def _found(run: Run, path: str, error: type[InvalidRequest], parameter: str, entry: str) -> Reference:
    found = run.table.find(path)
    if found is None:
        names = ", ".join(field.name for field in run.table.delivered[:50])
        raise error(f"{entry}: there is no field {shown(path)}. Fields: {names}.", parameter=parameter, entry=entry)
    return found


def _sort(request: ExportRequest, run: Run) -> Reference | None:
    if request.sort_by is None:
        return None
    found = _found(run, request.sort_by, InvalidRequest, "sortBy", "sortBy")
    if found.type.family not in _SORTABLE:
        raise InvalidRequest(
            f"sortBy: {found.path} is {found.data_type} ({found.type.sql()}), which has no order; "
            "name a field within it by a dotted path, or another field.",
            parameter="sortBy",
        )
    return found


def _canonical(request: ExportRequest, run: Run, now: datetime) -> dict[str, object]:
    """Everything that the bytes depend on."""
    return {
        "output": OUTPUT_VERSION,
        "workflow": run.workflow_id,
        "run": run.run_id,
        "version": run.version,
        "format": request.format.name,
        "filters": [[entry.field, entry.operator.name, _canonical_value(entry.value)] for entry in request.filters],
        "sortBy": request.sort_by,
        "descending": request.sort_by is not None and request.descending,
        "rowIds": None if request.row_ids is None else sorted(request.row_ids),
        "includeRowIds": request.include_row_ids,
        "csv": [request.csv.bom, request.csv.delimiter, request.csv.formula_guard],
        "now": _clock(request, run, now),
    }


def _clock(request: ExportRequest, run: Run, now: datetime) -> str | None:
    """What the bytes depend on of the clock: nothing without a window, else the day, where no cell lies beyond now."""
    columns = [run.table.find(entry.field) for entry in request.filters if entry.operator.kind is Kind.WINDOW]
    if not columns:
        return None
    day = all(column is not None and _told_by_day(column, run, now) for column in columns)
    return now.date().isoformat() if day else now.isoformat()


def _told_by_day(column: Reference, run: Run, now: datetime) -> bool:
    """Whether the same cells lie before any later moment of the day."""
    if column.type.family is not Family.TIMESTAMP:
        return column.type.family is Family.DATE
    later = Wanted(column.path, column.type, low=now)
    return not any(later.possible_in(group) for part in run.parts for group in part.row_groups)


def _canonical_value(value: object) -> object:
    """Values as typed texts, since 1, "1", 1.0 and true are not the same value."""
    if isinstance(value, tuple):
        return [_canonical_value(item) for item in value]
    return f"{type(value).__name__}:{value}"
