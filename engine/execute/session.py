"""One locked DuckDB instance: it reads the files that it is given, writes the targets it is given, and nothing else.

Limits and allow-lists belong to the instance, so each worker of each export has one of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import duckdb
from fsspec import AbstractFileSystem

from engine.common.quoting import literal
from engine.common.table_functions import literal_path
from engine.common.temp_folders import spill_folder
from engine.execute.instance_pool import Spares
from engine.execute.spill_limit import bounded_spill
from engine.settings import DuckDBSettings, megabytes

_COUNTED_PERCENT = 80
"""What DuckDB counts of the memory that it takes: the text that its writers hold comes on top."""

FENCE = (
    "SET allow_persistent_secrets=false",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET TimeZone='UTC'",
    "SET enable_progress_bar=false",
    # Where a COPY writes a file for each value of a column: four times as many, as it has them, take longer.
    "SET partitioned_write_flush_threshold=122880",
    # A list of values is a join, and rows keep their order only while the run is on the side that streams.
    "SET disabled_optimizers='join_order,build_side_probe_side'",
)
"""What every instance is told first."""


def _unlimited() -> duckdb.DuckDBPyConnection:
    """An instance as all are in the beginning, which knows of nothing to read or to write yet."""
    connection = duckdb.connect(
        config={
            # More would be threads that wait; without a folder it can spill nothing.
            "threads": 1,
            "temp_directory": "",
            "preserve_insertion_order": True,
            "python_enable_replacements": False,
            # It would keep the ends of all parts to the end, to spare each range one small read.
            "enable_external_file_cache": False,
        }
    )
    connection.execute("; ".join(FENCE))
    return connection


SPARES = Spares(_unlimited, most=2)
"""Instances of this process that are open ahead, for services; sessions are the same with and without them."""


@contextmanager
def open_session(
    settings: DuckDBSettings,
    *,
    threads: int,
    workers: int = 1,
    allowed: Sequence[str] = (),
    file_systems: Sequence[AbstractFileSystem] = (),
    locked: bool = True,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An instance with ``threads`` threads and the memory of one of ``workers``.

    ``allowed`` are the exact paths that it may open, for reading and for writing (DuckDB knows no difference).
    A session that is not ``locked`` is for publishers, who name files of their own machine.
    """
    limits = {
        "threads": str(threads),
        "memory_limit": _share(settings.memory_limit, workers, percent=_COUNTED_PERCENT),
        "max_temp_directory_size": _share(settings.spill_limit, workers),
    }
    with spill_folder(settings.spill_directory) as spill:
        connection = SPARES.take()
        try:
            for file_system in file_systems:
                connection.register_filesystem(file_system)
            limits["temp_directory"] = str(spill)
            statements = [f"SET {name}={literal(value)}" for name, value in limits.items()]
            if locked:
                statements += fence(allowed)
            connection.execute("; ".join(statements))
            with bounded_spill(connection, spill, megabytes(settings.spill_limit) * 1_000_000 // workers):
                yield connection
        except BaseException:
            # What it may have spilled goes before the folder.
            connection.close()
            raise
        finally:
            SPARES.retire(connection)


def fence(paths: Iterable[str], *, locked: bool = True) -> list[str]:
    """What makes an instance open these paths alone, for good; ``locked`` keeps its other options as they are."""
    # DuckDB checks the pattern that it is given, and then each file that it finds.
    named = dict.fromkeys(name for path in paths for name in (path, literal_path(path)))
    # The allow-list goes before the fence, the fence before the lock.
    allowed = f"SET allowed_paths=[{', '.join(map(literal, named))}]"
    lock = ["SET lock_configuration=true"] if locked else []
    return [allowed, "SET enable_external_access=false", *lock]


def _share(size: str, workers: int, *, percent: int = 100) -> str:
    return f"{max(1, megabytes(size) * percent // 100 // workers)}MB"
