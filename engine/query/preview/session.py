"""A DuckDB instance that can read the parts of one plan's run, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from engine.catalog.catalog import PART_CHANGED, ResultStore
from engine.catalog.manifest import Part
from engine.common.cancellation import CancelToken
from engine.errors import ObjectChanged, ObjectMissing, SourceDamaged
from engine.execute.duckdb_errors import export_error
from engine.execute.filesystems import StageFileSystem
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.run_files import RunFiles, target_of
from engine.execute.session import open_session
from engine.plan.planner import ExportPlan
from engine.settings import DuckDBSettings


@contextmanager
def opened(
    plan: ExportPlan,
    results: ResultStore,
    settings: DuckDBSettings,
    cancel: CancelToken,
    sink: OrderedSink,
    instances: InstancePool | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a locked instance that can read the parts of the plan's run and write to the sink only.

    Raises the same errors as an export: SourceDamaged, LimitExceeded, Cancelled, StoreUnavailable.
    """
    results.check_parts(*plan.runs)
    files = RunFiles(results.store, plan.parts, plan.run.published_at)
    parts = files.file_system()
    try:
        with (
            open_session(
                settings,
                # Several threads would mix the rows of a join of changes.
                threads=settings.threads if plan.since is None else 1,
                allowed=[*files.allowed, target_of(0)],
                file_systems=(StageFileSystem(sink), parts),
                instances=instances,
            ) as connection,
            cancel.watching(connection),
        ):
            yield connection
            cancel.raise_if_cancelled()
            results.check_parts(*plan.runs)
    except duckdb.Error as error:
        failure = sink.failure or export_error(error, parts, cancel)
        if isinstance(failure, ObjectMissing | ObjectChanged):
            failure = SourceDamaged(PART_CHANGED)
        raise failure from error


def read_parts(plan: ExportPlan) -> tuple[Part, ...]:
    """The parts that may have a row of the plan, in run order."""
    return tuple({part.key: part for range_ in plan.ranges for part in range_.parts}.values())
