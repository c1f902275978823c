"""A session with a locked DuckDB instance, which opens only the files on its allow-list.

Limits and allow-lists belong to an instance, so every worker of an export has a separate one.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import duckdb
from fsspec import AbstractFileSystem

from engine.common.duckdb_versions import READING_THREADS, WRITES_REQUIRED
from engine.common.quoting import literal
from engine.common.table_functions import literal_path
from engine.common.temp_folders import spill_folder
from engine.execute.instance_pool import InstancePool
from engine.execute.spill_limit import limit_spill
from engine.settings import DuckDBSettings, megabytes

_COUNTED_PERCENT = 80
"""DuckDB's share of the memory limit: the text that its writers buffer is not counted by its own limit."""

FENCE = (
    "SET allow_persistent_secrets=false",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET TimeZone='UTC'",
    "SET enable_progress_bar=false",
    # Rows buffered by a COPY that writes a file for each value of a column; the default, four times as many, is slower.
    "SET partitioned_write_flush_threshold=122880",
    # A list of values is a join, and the order of rows is preserved only while the run is on the probe side.
    f"SET disabled_optimizers='{','.join(('join_order', 'build_side_probe_side', *WRITES_REQUIRED))}'",
)
"""Settings of every instance."""

QUERY_OPTIMIZERS = f"SET disabled_optimizers='{','.join(WRITES_REQUIRED)}'"
"""For statements that somebody else wrote, after `FENCE`: only what is written has to be as in an export."""


def open_instance() -> duckdb.DuckDBPyConnection:
    """An instance without the limits and the allow-list of a session; see `InstancePool`."""
    connection = duckdb.connect(
        config={
            # One thread until a session needs more; no spilling without the folder of a session.
            "threads": 1,
            **READING_THREADS,
            "temp_directory": "",
            "preserve_insertion_order": True,
            "python_enable_replacements": False,
            # It would cache the footers of all parts until the end, to avoid one small read for each range.
            "enable_external_file_cache": False,
        }
    )
    connection.execute("; ".join(FENCE))
    return connection


@contextmanager
def open_session(
    settings: DuckDBSettings,
    *,
    threads: int,
    workers: int = 1,
    allowed: Sequence[str] = (),
    file_systems: Sequence[AbstractFileSystem] = (),
    locked: bool = True,
    instances: InstancePool | None = None,
    flush_rows: int | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session with ``threads`` threads and the share of memory and spill space of one of ``workers``.

    It may open exactly the paths in ``allowed``, for reading and for writing (DuckDB does not distinguish). Pass
    ``locked=False`` only where the caller chooses the files: the session may then open any file of this machine. The
    instance is taken from ``instances``, or opened and closed here without a pool. A COPY to several files buffers
    ``flush_rows`` rows (default: 122,880).
    """
    with spill_folder(settings.spill_directory) as spill:
        connection = open_instance() if instances is None else instances.acquire()
        try:
            for file_system in file_systems:
                connection.register_filesystem(file_system)
            statements = [
                *limits_of(settings, threads=threads, workers=workers),
                f"SET temp_directory={literal(str(spill))}",
            ]
            if flush_rows is not None:
                statements.append(f"SET partitioned_write_flush_threshold={flush_rows}")
            if locked:
                statements += fence(allowed)
            connection.execute("; ".join(statements))
            with limit_spill(connection, spill, megabytes(settings.spill_limit) * 1_000_000 // workers):
                yield connection
        except BaseException:
            # Its spill files have to be removed before the folder.
            connection.close()
            raise
        finally:
            if instances is None:
                connection.close()
            else:
                instances.release(connection)


def limits_of(settings: DuckDBSettings, *, threads: int, workers: int = 1) -> list[str]:
    """Statements that give an instance its threads, and the share of memory and spill space of one of ``workers``."""
    limits = {
        "threads": str(threads),
        "memory_limit": _share(settings.memory_limit, workers, percent=_COUNTED_PERCENT),
        "max_temp_directory_size": _share(settings.spill_limit, workers),
    }
    return [f"SET {name}={literal(value)}" for name, value in limits.items()]


def fence(paths: Iterable[str], *, folders: Sequence[str] = (), locked: bool = True) -> list[str]:
    """Statements that limit an instance to these paths for good; ``locked`` also freezes its other settings.

    ``folders`` are prefixes of further paths, whose file system itself opens nothing but what may be read.
    """
    # DuckDB checks the pattern that it is given, and then each file that matches.
    names = dict.fromkeys(name for path in paths for name in (path, literal_path(path)))
    # The order matters: the second statement freezes the allow-list, the third freezes all settings.
    allowed = f"SET allowed_paths=[{', '.join(map(literal, names))}]"
    below = [f"SET allowed_directories=[{', '.join(map(literal, folders))}]"] if folders else []
    lock = ["SET lock_configuration=true"] if locked else []
    return [allowed, *below, "SET enable_external_access=false", *lock]


def _share(size: str, workers: int, *, percent: int = 100) -> str:
    return f"{max(1, megabytes(size) * percent // 100 // workers)}MB"
