"""Check a request against a run and plan the export: the plan decides every byte of the file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from engine.catalog.manifest import Part, Run
from engine.catalog.schema import ROW_ID, Field, Reference, Schema
from engine.catalog.types import TEXT, Family
from engine.common.ids import export_id
from engine.errors import InvalidFilter, InvalidRequest, quoted_excerpt
from engine.plan.changes import changes_table, check_comparable
from engine.plan.columns import fields_of, find_column, read_columns
from engine.plan.conditions import Condition, read_condition
from engine.plan.delta_types import delta_column
from engine.plan.pruning import Bounds, ValueBounds, bounds_for, prune
from engine.plan.ranges import (
    MAX_SUBRANGES,
    TARGET_BYTES,
    Range,
    RowGroupMask,
    ranges_for_rows,
    single_range,
    split_into_ranges,
)
from engine.plan.row_ids import row_numbers_by_part
from engine.request.formats import MAX_CELL_UNITS, Format
from engine.request.operators import OperatorKind
from engine.request.request import ExportRequest
from engine.request.statement import StatementRequest

OUTPUT_VERSION = 12
"""Increase this with every change to the bytes of an export, so that exports of an older version are not reused."""

PARQUET_RANGE_BYTES = 32 * 1024 * 1024
"""Compressed bytes per range of a Parquet export; the matching rows of each become one or more row groups."""

COMPRESSED_RANGE_BYTES = TARGET_BYTES
"""Compressed bytes of the run per range of a compressed export, whatever the caller of `make_plan` wants."""

MAX_BOUND_VALUES = 100_000
"""Maximum values bound by all sub-ranges of a sort: 50,000 ids took 72 MB bound in each of eight, and 9 MB in one."""

_MAX_WIDE_ROWS = 32_768
"""Of a row group: publishing gives it 24 MiB, so they have 768 bytes or more, unless the run is small."""

PICKED_ROWS_FACTOR = 8
"""Multiplies the range size when rows are requested by number: such a range returns few rows but opens its part."""

SORTABLE = frozenset(Family) - {Family.LIST, Family.OBJECT, Family.MAP, Family.JSON, Family.INTERVAL}


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to read, filter, sort and write. Rows must match all ``conditions`` and, if given, the request's row ids."""

    export_id: str
    request: ExportRequest
    run: Run
    table: Schema
    """The schema of the rows that are filtered and sorted: of the run, or of `engine.plan.changes`."""
    columns: tuple[Reference, ...]
    """Of the file, in order; ``path`` is the name of each."""
    conditions: tuple[Condition, ...]
    sort: Reference | None
    row_group_mask: RowGroupMask
    ranges: tuple[Range, ...]
    """What is written, one COPY each; a sorted export has a single range."""
    scan_ranges: tuple[Range, ...]
    """What is read, in run order; the same as ``ranges`` unless there is a sort."""
    previous: Run | None = None
    """The other run that is read: by the statement of the request, or since which the rows changed.

    A statement has no columns, conditions or ranges.
    """
    bounds_memory: bool = False
    """Whether the export takes little memory whatever its limit, in more time; the file is the same."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that the export reads."""
        return (self.run,) if self.previous is None else (self.run, self.previous)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of `runs`."""
        return tuple(part for run in self.runs for part in run.parts)

    @property
    def since(self) -> Run | None:
        """The earlier run of an export of changes."""
        return None if self.request.statement is not None else self.previous

    @property
    def is_full_run(self) -> bool:
        """Whether the export has every row of the run."""
        selects = self.request.statement is not None or self.since is not None
        return not self.conditions and self.request.row_ids is None and not selects

    @property
    def has_wide_rows(self) -> bool:
        """Whether the rows of the run are so long that its row groups have few of them."""
        groups = (group.rows for part in self.run.parts for group in part.row_groups)
        return max(groups, default=0) <= _MAX_WIDE_ROWS

    @property
    def fields(self) -> tuple[Field, ...]:
        """The schema of the file."""
        return fields_of(self.columns)

    @property
    def chooses_columns(self) -> bool:
        """Whether the file may have other columns than the run."""
        chosen = self.request.fields is not None or self.request.flatten or self.request.delta_types
        return chosen or self.since is not None

    @property
    def can_copy(self) -> bool:
        """Whether the file can have row groups of the run unchanged, without their internal columns."""
        selects = self.sort is not None or self.request.row_ids is not None
        return self.request.format.name == "parquet" and not selects and not self.chooses_columns

    @property
    def copies_row_groups(self) -> bool:
        """Whether the file is made of row groups of the run that are copied unchanged, and of nothing else."""
        return bool(self.ranges) and all(range_.copied is not None for range_ in self.ranges)

    @property
    def needs_one_process(self) -> bool:
        """Whether a cluster cannot write the file.

        Copying encodes nothing, and the hash needs all bytes in one process anyway. The blocks of a compressed file end
        where a range does, and a sort on a cluster has other ranges. A sheet has so few rows that one process suffices.
        Changes are found by one join.
        """
        return (
            self.copies_row_groups
            or self.request.format.name == "xlsx"
            or self.since is not None
            or (self.sort is not None and self.request.compression.name != "none")
        )

    @property
    def max_rows(self) -> int:
        """The file has at most as many rows; exactly as many if it has all rows of the run."""
        if self.is_full_run:
            return self.run.rows
        read = sum(range_.max_rows for range_ in self.scan_ranges)
        return read if self.request.row_ids is None else min(read, len(self.request.row_ids))

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The bounds that row groups are pruned by, each with a label for messages."""
        found = [
            (f"{condition.label} ({condition.column.path} {condition.operator.name})", bounds)
            for condition in self.conditions
            if (bounds := bounds_for(condition)) is not None
        ]
        if self.request.row_ids is not None:
            found.append(("rowIds", ValueBounds(ROW_ID, TEXT, points=tuple(sorted(self.request.row_ids)))))
        return tuple(found)


def make_plan(
    request: ExportRequest,
    run: Run,
    *,
    now: datetime,
    range_bytes: int = TARGET_BYTES,
    previous: Run | None = None,
) -> ExportPlan:
    """Plan an export. ``now`` is in UTC; ``range_bytes`` are compressed bytes of the run per range.

    ``previous`` is the other run that the statement of the request reads, or that its ``since_run`` names.

    Raises InvalidRequest if the request does not fit the run's schema, or the two runs cannot be compared.
    """
    if request.statement is not None:
        made_of = _canonical(request, run, now) | _canonical_statement(request.statement, previous)
        # For lists of exports: which run was the one before is not known later.
        statement = replace(request.statement, previous=False if previous is None else previous.run_id)
        request = replace(request, statement=statement)
        return ExportPlan(export_id(made_of), request, run, run.table, (), (), None, (), (), (), previous)
    if request.delta_types and all(delta_column(column) is column for column in run.table.columns):
        # The file is that of any other request for all columns.
        request = replace(request, delta_types=False)
    since = None if request.since_run is None else check_comparable(run, previous, request.since_run)
    table = run.table if since is None else changes_table(run, since)
    conditions = tuple(
        read_condition(
            entry,
            find_column(table, entry.field, parameter="filters", entry=entry.label, error=InvalidFilter),
            now,
        )
        for entry in request.filters
    )
    plan = ExportPlan(
        export_id=export_id(_canonical(request, run, now) | _canonical_since(since)),
        request=request,
        run=run,
        table=table,
        columns=read_columns(request, table),
        conditions=conditions,
        sort=_sort(request, table),
        row_group_mask=(),
        ranges=(),
        scan_ranges=(),
        previous=since,
    )
    check_columns(request.format, [column.path for column in plan.columns])
    if since is not None:
        ranges = (Range(0, plan.parts),)
        mask = [[True] * len(part.row_groups) for part in run.parts]
        return replace(plan, row_group_mask=mask, ranges=ranges, scan_ranges=ranges)
    if plan.is_full_run and request.format.max_rows is not None and run.rows > request.format.max_rows:
        raise too_many_rows(request.format, run.rows)
    bounds = [bound for _, bound in plan.bounds]
    return with_row_groups(plan, [prune(part.row_groups, bounds) for part in run.parts], range_bytes=range_bytes)


def too_many_rows(format_: Format, rows: int) -> InvalidRequest:
    """The error of an export with more rows than a file of the format can have."""
    return InvalidRequest(
        f"format: the export has {rows:,} rows, and {format_.name} at most {format_.max_rows:,}; add filters, or use "
        "another format.",
        parameter="format",
    )


def cell_too_long(column: str, row: int) -> InvalidRequest:
    """The error of a cell of an xlsx file. ``row`` is the number of its row in the sheet; the header is row 1."""
    return InvalidRequest(
        f"format: the cell in row {row:,} and column {quoted_excerpt(column)} of the sheet has more than "
        f"{MAX_CELL_UNITS:,} UTF-16 code units, the maximum in xlsx; leave the column out by fields, or use another "
        "format.",
        parameter="format",
        field=column,
        row=row,
    )


def check_columns(format_: Format, names: Sequence[str]) -> None:
    """Raise InvalidRequest for columns that a file of the format cannot have."""
    if format_.max_columns is not None and len(names) > format_.max_columns:
        raise InvalidRequest(
            f"format: the export has {len(names):,} columns, and {format_.name} at most {format_.max_columns:,}; "
            "list fewer in fields, or use another format.",
            parameter="format",
        )
    for name in names if format_.name == "xlsx" else ():
        # UTF-16 units without Python's codec, which the process of a statement may not import.
        if len(name) + sum(character > "\uffff" for character in name) > MAX_CELL_UNITS:
            raise cell_too_long(name, 1)


def with_row_groups(plan: ExportPlan, mask: RowGroupMask, *, range_bytes: int = TARGET_BYTES) -> ExportPlan:
    """Return a plan of the same file that reads only the row groups of the mask; no other may have a matching row."""
    scan_ranges = _scan_ranges(plan, mask, range_bytes)
    if plan.sort is None:
        return replace(plan, row_group_mask=mask, scan_ranges=scan_ranges, ranges=scan_ranges)
    # Every sub-range repeats the conditions and binds their values again.
    values = len(plan.request.row_ids or ()) + sum(_value_count(entry.value) for entry in plan.request.filters)
    ranges = single_range(plan.run.parts, mask, min(MAX_SUBRANGES, MAX_BOUND_VALUES // max(1, values)))
    return replace(plan, row_group_mask=mask, scan_ranges=scan_ranges, ranges=ranges)


def _scan_ranges(plan: ExportPlan, mask: RowGroupMask, range_bytes: int) -> tuple[Range, ...]:
    request, run = plan.request, plan.run
    ordered = request.sort_by is not None
    rows = None if request.row_ids is None or ordered else row_numbers_by_part(run, request.row_ids)
    # A row group ends where a range does, so the bytes of a Parquet file depend on its ranges.
    if request.format.name == "parquet" and not ordered:
        range_bytes = PARQUET_RANGE_BYTES
    else:
        # So does a compressed block.
        has_blocks = request.compression.name != "none" or request.format.name == "xlsx"
        range_bytes = COMPRESSED_RANGE_BYTES if has_blocks else range_bytes
        range_bytes *= 1 if rows is None else PICKED_ROWS_FACTOR
    if rows is None:
        return split_into_ranges(run.parts, range_bytes, mask, _copied(plan) if plan.can_copy else None)
    return ranges_for_rows(run.parts, rows, range_bytes, mask)


def _copied(plan: ExportPlan) -> RowGroupMask:
    """The row groups of which every row matches."""
    bounds = [bounds_for(condition) for condition in plan.conditions]
    return [
        [all(one is not None and one.certain_in(group) for one in bounds) for group in part.row_groups]
        for part in plan.run.parts
    ]


def _value_count(value: object) -> int:
    return len(value) if isinstance(value, tuple) else 1


def _sort(request: ExportRequest, table: Schema) -> Reference | None:
    if request.sort_by is None:
        return None
    column = find_column(table, request.sort_by, parameter="sortBy", entry="sortBy")
    if column.type.family not in SORTABLE:
        raise InvalidRequest(
            f"sortBy: {column.path} ({column.data_type}, {column.type.sql()}) cannot be sorted; "
            "use a dotted path to a field within it, or another field.",
            parameter="sortBy",
        )
    return column


def _canonical(request: ExportRequest, run: Run, now: datetime) -> dict[str, object]:
    """Everything that the bytes of the export depend on."""
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
        "compression": request.compression.name,
        "fields": request.fields,
        "flatten": request.flatten,
        "csv": [request.csv.bom, request.csv.delimiter, request.csv.formula_guard],
        "now": _canonical_now(request, run, now),
    } | ({"deltaTypes": True} if request.delta_types else {})


def _canonical_statement(statement: StatementRequest, previous: Run | None) -> dict[str, object]:
    other = None if previous is None else [previous.run_id, previous.version]
    return {"statement": statement.canonical, "previous": other}


def _canonical_since(since: Run | None) -> dict[str, object]:
    return {} if since is None else {"since": [since.run_id, since.version]}


def _canonical_now(request: ExportRequest, run: Run, now: datetime) -> str | None:
    """The day suffices if no cell lies after ``now``: then every moment of the day selects the same rows."""
    filters = [entry for entry in request.filters if entry.operator.kind is OperatorKind.DATE_RANGE]
    columns = [run.table.find(entry.field) for entry in filters]
    if not columns:
        return None
    if request.since_run is not None:
        return now.isoformat()
    by_day = all(column is not None and _depends_on_day_only(column, run, now) for column in columns)
    return now.date().isoformat() if by_day else now.isoformat()


def _depends_on_day_only(column: Reference, run: Run, now: datetime) -> bool:
    if column.type.family is not Family.TIMESTAMP:
        return column.type.family is Family.DATE
    after_now = ValueBounds(column.path, column.type, low=now)
    return not any(after_now.possible_in(group) for part in run.parts for group in part.row_groups)


def _canonical_value(value: object) -> object:
    """Text with the type's name, since 1, "1", 1.0 and true are different values."""
    if isinstance(value, tuple):
        return [_canonical_value(item) for item in value]
    return f"{type(value).__name__}:{value}"
