"""The first rows that differ between two runs, each with the cells that differ."""

from dataclasses import dataclass

from engine.catalog.catalog import ResultStore
from engine.common.cancellation import CancelToken
from engine.execute.file_assembler import FileAssembler
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.run_files import source_of
from engine.plan.planner import ExportPlan
from engine.query.preview.session import opened, read_parts
from engine.settings import DuckDBSettings
from engine.sql.statements import compile_first_differences

MAX_DIFFERENCES = 100
MAX_DIFFERENCES_LENGTH = 1024 * 1024
"""Characters, roughly, of all cells that are returned."""


@dataclass(frozen=True, slots=True)
class CellDifference:
    """A cell as its text in a CSV file, in the newer run and in the older; None for a null, and where no row is."""

    column: str
    value: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that differs. ``change`` is ``added``, ``changed`` or ``removed``; cells that are equal are left out."""

    row_id: str
    change: str
    cells: tuple[CellDifference, ...]


def read_differences(
    plan: ExportPlan,
    results: ResultStore,
    *,
    settings: DuckDBSettings,
    cancel: CancelToken,
    instances: InstancePool | None = None,
) -> list[RowDifference]:
    """Read the first rows of an export of changes, at most `MAX_DIFFERENCES` and `MAX_DIFFERENCES_LENGTH`.

    Raises LimitExceeded, SourceDamaged and Cancelled as exports do.
    """
    sources = [source_of(results.store, part.key) for part in read_parts(plan)]
    if not sources:
        return []
    statement = compile_first_differences(plan, sources, MAX_DIFFERENCES, MAX_DIFFERENCES_LENGTH)
    unused = OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0)
    with opened(plan, results, settings, cancel, unused, instances) as connection:
        rows = statement.execute(connection).fetchall()
    return [
        RowDifference(
            row_id, change, tuple(CellDifference(cell["key"], cell["value"], cell["previous"]) for cell in cells)
        )
        for row_id, change, cells in rows
    ]
