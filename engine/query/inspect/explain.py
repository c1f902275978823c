"""Explain which row groups a plan reads, and which condition of the request ruled out the others."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.catalog.manifest import ColumnStatistics, Part, RowGroup
from engine.plan.planner import ExportPlan
from engine.plan.pruning import Bounds

_BLOOM = "rowIds: the Bloom filter has none of the ids"


@dataclass(frozen=True, slots=True)
class RowGroupDecision:
    """Whether a row group is read. ``ordinal`` counts from 0 within the part; ``skipped`` is None, or the reason."""

    part: Part
    ordinal: int
    group: RowGroup
    skipped: str | None


def row_group_decisions(plan: ExportPlan) -> Iterator[RowGroupDecision]:
    """Yield a decision for each row group of the run, in run order."""
    first = plan.ranges[0]
    # A sort that would need too many sub-ranges reads entire parts; DuckDB may still skip row groups of them.
    reads_entire_parts = plan.sort is not None and not first.subranges and first.first is None
    for part, flags in zip(plan.run.parts, plan.row_group_mask, strict=True):
        reasons = [
            None
            if is_read
            else next((_reason(label, one, group) for label, one in plan.bounds if not one.possible_in(group)), _BLOOM)
            for group, is_read in zip(part.row_groups, flags, strict=True)
        ]
        if reads_entire_parts and None in reasons:
            reasons = [None] * len(reasons)
        for ordinal, (group, skipped) in enumerate(zip(part.row_groups, reasons, strict=True)):
            yield RowGroupDecision(part, ordinal, group, skipped)


def _reason(label: str, bounds: Bounds, group: RowGroup) -> str:
    # Bounds rule out a row group only by its statistics, so there are some.
    return f"{label}: {bounds.path} is {_described(group.statistics[bounds.path], group)}"


def _described(statistics: ColumnStatistics, group: RowGroup) -> str:
    if statistics.nulls == group.rows:
        return "null in every row"
    nulls = "" if statistics.nulls is None else f", {statistics.nulls:,} nulls"
    return f"from {statistics.minimum} to {statistics.maximum}{nulls}"
