"""What a plan reads and leaves unread, and which condition of the request decided it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from engine.catalog.manifest import ColumnStatistics, Part, RowGroup
from engine.catalog.schema import ROW_ID
from engine.catalog.types import TEXT
from engine.plan.planner import ExportPlan
from engine.plan.pruning import Condition, Wanted, condition_of

_BLOOM = "rowIds: the Bloom filter has none of them"


@dataclass(frozen=True, slots=True)
class Decision:
    """One row group, counted from 0 within its part: kept, or skipped for a reason."""

    part: Part
    ordinal: int
    group: RowGroup
    skipped: str | None


def decisions(plan: ExportPlan, now: datetime) -> Iterator[Decision]:
    """Every row group of the run in its order; ``now`` is the moment of the plan."""
    conditions = list(_conditions(plan, now))
    whole = plan.ranges[0]
    # A sort that would need too many pieces opens parts whole; what of them is skipped is up to DuckDB.
    reads_whole = plan.sort is not None and not whole.pieces and whole.first is None
    for part, kept in zip(plan.run.parts, plan.kept, strict=True):
        reasons = [
            None
            if wanted
            else next((_reason(name, one, group) for name, one in conditions if not one.possible_in(group)), _BLOOM)
            for group, wanted in zip(part.row_groups, kept, strict=True)
        ]
        if reads_whole and None in reasons:
            reasons = [None] * len(reasons)
        for ordinal, (group, skipped) in enumerate(zip(part.row_groups, reasons, strict=True)):
            yield Decision(part, ordinal, group, skipped)


def _conditions(plan: ExportPlan, now: datetime) -> Iterator[tuple[str, Condition]]:
    """What bounds can tell of the request, as the plan has it."""
    for entry in plan.request.filters:
        column = plan.run.table.find(entry.field)
        condition = condition_of(entry, column, now) if column else None
        if condition is not None:
            yield f"{entry.place} ({entry.field} {entry.operator.name})", condition
    if plan.request.row_ids is not None:
        yield "rowIds", Wanted(ROW_ID, TEXT, points=tuple(sorted(plan.request.row_ids)))


def _reason(name: str, condition: Condition, group: RowGroup) -> str:
    # A condition that rules a row group out has statistics to say so.
    return f"{name}: {condition.path} is {_described(group.statistics[condition.path], group)}"


def _described(found: ColumnStatistics, group: RowGroup) -> str:
    if found.nulls == group.rows:
        return "null in every row"
    nulls = "" if found.nulls is None else f", {found.nulls:,} nulls"
    return f"from {found.minimum} to {found.maximum}{nulls}"
