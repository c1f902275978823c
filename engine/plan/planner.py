"""From a request and a run to a plan: everything that decides the bytes of an export, checked before any is written."""

from dataclasses import dataclass, replace
from datetime import datetime

from engine.catalog.manifest import Run
from engine.catalog.schema import ROW_ID, Field, Reference
from engine.catalog.types import TEXT, Family
from engine.common.ids import export_id
from engine.errors import InvalidFilter, InvalidRequest, quoted_excerpt
from engine.plan.conditions import Condition, read_condition
from engine.plan.pruning import Bounds, ValueBounds, bounds_of, prune
from engine.plan.ranges import (
    MAX_PIECES,
    TARGET_BYTES,
    Range,
    RowGroupMask,
    ranges_for_rows,
    single_range,
    split_into_ranges,
)
from engine.plan.row_ids import rows_of
from engine.request.operators import Kind
from engine.request.request import ExportRequest

OUTPUT_VERSION = 9
"""Raised with every change of the bytes that a request gives, so that an older export is not reused for a new one."""

PARQUET_RANGE_BYTES = 32 * 1024 * 1024
"""Parquet bytes of a range of a filtered Parquet export: what is kept of them becomes one or more row groups."""

MAX_BOUND_VALUES = 100_000
"""Values that all pieces of a sort bind together: 50,000 ids in each of eight pieces took 72 MB, in one 9 MB."""

PICKED_ROWS_FACTOR = 8
"""How many times `TARGET_BYTES` a range of picked rows may touch: it gives few rows, and each range opens its part."""

SORTABLE = frozenset(Family) - {Family.LIST, Family.OBJECT, Family.MAP, Family.JSON, Family.INTERVAL}


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to read, keep, order and write. Rows have to match all ``conditions`` and, if any, the request's row ids."""

    export_id: str
    request: ExportRequest
    run: Run
    fields: tuple[Field, ...]
    conditions: tuple[Condition, ...]
    sort: Reference | None
    row_group_mask: RowGroupMask
    ranges: tuple[Range, ...]
    """What is written, one COPY each; a sorted export is a single range."""
    scan_ranges: tuple[Range, ...]
    """What is read, in run order: the same as ``ranges`` unless there is a sort."""

    @property
    def is_full_run(self) -> bool:
        """Whether every row of the run is delivered."""
        return not self.conditions and self.request.row_ids is None

    @property
    def copies_row_groups(self) -> bool:
        """Whether the file consists of the run's own row groups, all of them, unchanged and in their order."""
        return self.is_full_run and self.sort is None and self.request.format.name == "parquet" and bool(self.run.parts)

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """What decides about row groups, each with its place in the request."""
        found = [
            (f"{one.place} ({one.column.path} {one.operator.name})", bounds)
            for one in self.conditions
            if (bounds := bounds_of(one)) is not None
        ]
        if self.request.row_ids is not None:
            found.append(("rowIds", ValueBounds(ROW_ID, TEXT, points=tuple(sorted(self.request.row_ids)))))
        return tuple(found)


def make_plan(request: ExportRequest, run: Run, *, now: datetime, range_bytes: int = TARGET_BYTES) -> ExportPlan:
    """Plan an export at a moment in UTC. Raises InvalidRequest for what the run's schema does not allow."""
    columns = [_found(run, entry.field, InvalidFilter, "filters", entry.place) for entry in request.filters]
    conditions = tuple(
        read_condition(entry, column, now) for entry, column in zip(request.filters, columns, strict=True)
    )
    plan = ExportPlan(
        export_id=export_id(_canonical(request, run, now)),
        request=request,
        run=run,
        fields=run.table.written(row_ids=request.include_row_ids),
        conditions=conditions,
        sort=_sort(request, run),
        row_group_mask=(),
        ranges=(),
        scan_ranges=(),
    )
    bounds = [one for _, one in plan.bounds]
    return with_row_groups(plan, [prune(part.row_groups, bounds) for part in run.parts], range_bytes=range_bytes)


def with_row_groups(plan: ExportPlan, mask: RowGroupMask, *, range_bytes: int = TARGET_BYTES) -> ExportPlan:
    """The plan of the same file that reads only these row groups: the others have no row of it."""
    scan_ranges = _scan_ranges(plan.request, plan.run, mask, range_bytes)
    if plan.sort is None:
        return replace(plan, row_group_mask=mask, scan_ranges=scan_ranges, ranges=scan_ranges)
    # Each piece has conditions of its own, with what these bind.
    bound = len(plan.request.row_ids or ()) + sum(_bound(entry.value) for entry in plan.request.filters)
    ranges = single_range(plan.run.parts, mask, min(MAX_PIECES, MAX_BOUND_VALUES // max(1, bound)))
    return replace(plan, row_group_mask=mask, scan_ranges=scan_ranges, ranges=ranges)


def _scan_ranges(request: ExportRequest, run: Run, mask: RowGroupMask, range_bytes: int) -> tuple[Range, ...]:
    ordered = request.sort_by is not None
    rows = None if request.row_ids is None or ordered else rows_of(run, request.row_ids)
    # Row groups end where a range does, so the ranges of a Parquet file are a part of what it is.
    if request.format.name == "parquet" and not ordered:
        range_bytes = PARQUET_RANGE_BYTES
    elif rows is not None:
        range_bytes *= PICKED_ROWS_FACTOR
    if rows is None:
        return split_into_ranges(run.parts, range_bytes, mask)
    return ranges_for_rows(run.parts, rows, range_bytes, mask)


def _bound(value: object) -> int:
    return len(value) if isinstance(value, tuple) else 1


def _found(run: Run, path: str, error: type[InvalidRequest], parameter: str, entry: str) -> Reference:
    found = run.table.find(path)
    if found is None:
        names = ", ".join(field.name for field in run.table.delivered[:50])
        raise error(
            f"{entry}: there is no field {quoted_excerpt(path)}. Fields: {names}.", parameter=parameter, entry=entry
        )
    return found


def _sort(request: ExportRequest, run: Run) -> Reference | None:
    if request.sort_by is None:
        return None
    found = _found(run, request.sort_by, InvalidRequest, "sortBy", "sortBy")
    if found.type.family not in SORTABLE:
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
    later = ValueBounds(column.path, column.type, low=now)
    return not any(later.possible_in(group) for part in run.parts for group in part.row_groups)


def _canonical_value(value: object) -> object:
    """Values as typed texts, since 1, "1", 1.0 and true are not the same value."""
    if isinstance(value, tuple):
        return [_canonical_value(item) for item in value]
    return f"{type(value).__name__}:{value}"
