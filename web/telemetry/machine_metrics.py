"""Metrics of the process and of its spill directory, read when they are asked for."""

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from prometheus_client import Gauge
from prometheus_client.process_collector import ProcessCollector

from web.telemetry.metrics import REGISTRY

_TASKS = Path("/proc/self/task")

# Memory, processor time, open descriptors and their limit, start time; with a prefix, since most programs have these.
ProcessCollector(namespace="tailrace", registry=REGISTRY)
_THREADS = Gauge("tailrace_process_threads", "Threads of the process, those of DuckDB included", registry=REGISTRY)
_SPILL = Gauge("tailrace_spill_bytes", "Size of the files in the spill directory", registry=REGISTRY)
_SPILL_FREE = Gauge("tailrace_spill_free_bytes", "Free space where the spill directory is", registry=REGISTRY)


def watch_spill(directory: Path) -> None:
    """Report the files of this spill directory, and the free space of its disk."""
    _SPILL.set_function(lambda: _size_of_files(directory))
    _SPILL_FREE.set_function(lambda: _free_bytes(directory))


def _size_of_files(directory: Path) -> int:
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            # A file may be removed meanwhile.
            with suppress(OSError):
                size += (Path(folder) / name).lstat().st_size
    return size


def _free_bytes(directory: Path) -> float:
    """Return the free space, NaN if it cannot be read. The directory is made only when something spills."""
    directory = directory.absolute()
    for folder in (directory, *directory.parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return float("nan")


def _threads() -> int:
    try:
        return sum(1 for _ in _TASKS.iterdir())
    except OSError:
        # Not Linux: those of Python alone.
        return threading.active_count()


_THREADS.set_function(_threads)
