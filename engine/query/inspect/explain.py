"""What a plan reads and leaves unread, and which condition of the request decided it."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.catalog.manifest import ColumnStatistics, Part, RowGroup
from engine.plan.planner import ExportPlan
from engine.plan.pruning import Bounds

_BLOOM = "rowIds: the Bloom filter has none of them"


@dataclass(frozen=True, slots=True)
class Decision:
    """One row group, counted from 0 within its part: kept, or skipped for a reason."""

    part: Part
    ordinal: int
    group: RowGroup
    skipped: str | None


def decisions(plan: ExportPlan) -> Iterator[Decision]:
    """Every row group of the run in its order."""
    whole = plan.ranges[0]
    # A sort that would need too many pieces opens parts whole; what of them is skipped is up to DuckDB.
    reads_whole = plan.sort is not None and not whole.subranges and whole.first is None
    for part, kept in zip(plan.run.parts, plan.row_group_mask, strict=True):
        reasons = [
            None
            if wanted
            else next((_reason(name, one, group) for name, one in plan.bounds if not one.possible_in(group)), _BLOOM)
            for group, wanted in zip(part.row_groups, kept, strict=True)
        ]
        if reads_whole and None in reasons:
            reasons = [None] * len(reasons)
        for ordinal, (group, skipped) in enumerate(zip(part.row_groups, reasons, strict=True)):
            yield Decision(part, ordinal, group, skipped)


def _reason(name: str, bounds: Bounds, group: RowGroup) -> str:
    # Bounds that rule a row group out have statistics to say so.
    return f"{name}: {bounds.path} is {_described(group.statistics[bounds.path], group)}"


def _described(found: ColumnStatistics, group: RowGroup) -> str:
    if found.nulls == group.rows:
        return "null in every row"
    nulls = "" if found.nulls is None else f", {found.nulls:,} nulls"
    return f"from {found.minimum} to {found.maximum}{nulls}"
