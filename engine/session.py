"""One locked DuckDB instance: it reads the files that it is given, writes the targets it is given, and nothing else.

Limits and allow-lists belong to the instance, so each worker of each export has one of its own.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
from fsspec import AbstractFileSystem

from engine.quoting import literal
from engine.settings import DuckDBSettings, megabytes
from engine.spill import bounded_spill

_COUNTED_PERCENT = 80
"""What DuckDB counts of the memory that it takes: the text that its writers hold comes on top."""

FENCE = (
    "SET allow_persistent_secrets=false",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET TimeZone='UTC'",
    "SET enable_progress_bar=false",
    # A list of values is a join, and rows keep their order only while the run is on the side that streams.
    "SET disabled_optimizers='join_order,build_side_probe_side'",
)
"""What every instance is told first."""


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
    with _spill_folder(settings.spill_directory) as spill:
        connection = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": _share(settings.memory_limit, workers, percent=_COUNTED_PERCENT),
                "temp_directory": str(spill),
                "max_temp_directory_size": _share(settings.spill_limit, workers),
                "preserve_insertion_order": True,
                "python_enable_replacements": False,
            }
        )
        try:
            for file_system in file_systems:
                connection.register_filesystem(file_system)
            for statement in FENCE:
                connection.execute(statement)
            if locked:
                # The allow-list goes before the fence, the fence before the lock.
                connection.execute(f"SET allowed_paths=[{', '.join(map(literal, allowed))}]")
                connection.execute("SET enable_external_access=false")
                connection.execute("SET lock_configuration=true")
            with bounded_spill(connection, spill, megabytes(settings.spill_limit) * 1_000_000 // workers):
                yield connection
        finally:
            connection.close()


@contextmanager
def _spill_folder(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _share(size: str, workers: int, *, percent: int = 100) -> str:
    return f"{max(1, megabytes(size) * percent // 100 // workers)}MB"
