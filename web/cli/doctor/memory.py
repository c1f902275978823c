"""Whether the memory that the settings allow is there: the formula of .container/OPERATIONS.md, *Capacity*."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.settings import DuckDBSettings, megabytes
from web.cli.doctor.findings import Finding, ok, problem
from web.cli.terminal.progress_bar import human_bytes
from web.settings import AdmissionSettings, PublishSettings, QuerySettings

BASE_MB = 200
"""The service and the process that forks statements. Measured: 130 MB when new, 175 MB after sorts."""
EXPORT_OVERHEAD_MB = 50
"""What an export or publish takes beyond the limit of DuckDB. Measured: 46 MB for a sort of 2 million rows."""
STATEMENT_OVERHEAD_MB, STATEMENT_OVERHEAD_MB_PER_THREAD = 50, 10
"""What the process of a statement takes beyond the limit of DuckDB. Measured: 35 MB with 2 threads, 62 MB with 4."""

_CGROUPS = Path("/sys/fs/cgroup")
_OF_PROCESS = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What all that may run at the same time takes, in units of 1,000,000 bytes."""

    exports: int
    """Exports and publishes that run at the same time."""
    export_mb: int
    statements: int
    """Pages, column statistics and SQL statements that run at the same time."""
    statement_mb: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return (BASE_MB + self.exports * self.export_mb + self.statements * self.statement_mb) * 1_000_000


def memory_need(
    duckdb: DuckDBSettings, admission: AdmissionSettings, publishing: PublishSettings, queries: QuerySettings
) -> MemoryNeed:
    """Return what these settings allow."""
    overhead = STATEMENT_OVERHEAD_MB + STATEMENT_OVERHEAD_MB_PER_THREAD * duckdb.threads
    return MemoryNeed(
        exports=admission.max_concurrent_exports + publishing.max_concurrent_publishes,
        export_mb=megabytes(duckdb.memory_limit) + EXPORT_OVERHEAD_MB,
        statements=queries.max_concurrent_queries,
        statement_mb=megabytes(queries.query_memory_limit) + overhead,
    )


def check_memory(
    duckdb: DuckDBSettings, admission: AdmissionSettings, publishing: PublishSettings, queries: QuerySettings
) -> Finding:
    """Check that all that may run at the same time fits into the memory of the machine or the container."""
    available, need = available_memory(), memory_need(duckdb, admission, publishing, queries)
    text = (
        f"{human_bytes(available)}; the settings allow {human_bytes(need.total_bytes)}: {BASE_MB} MB, "
        f"{need.exports} exports and publishes of {need.export_mb:,} MB, {need.statements} queries of "
        f"{need.statement_mb:,} MB"
    )
    if need.total_bytes > available:
        return problem(
            "memory",
            text,
            "lower TAILRACE_MEMORY_LIMIT, TAILRACE_MAX_CONCURRENT_EXPORTS, TAILRACE_MAX_CONCURRENT_PUBLISHES, "
            "TAILRACE_QUERY_MEMORY_LIMIT or TAILRACE_MAX_CONCURRENT_QUERIES",
        )
    return ok("memory", text)


def available_memory(cgroups: Path = _CGROUPS, of_process: Path = _OF_PROCESS) -> int:
    """Return the memory of the machine in bytes, or the smallest limit of the control groups of this process."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(cgroups, of_process)])


def _limits(cgroups: Path, of_process: Path) -> Iterator[int]:
    """Yield the limits of the group of this process and of those around it, of version 1 and 2."""
    try:
        lines = of_process.read_text("utf-8").splitlines()
    except OSError:
        # Not Linux.
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _around(cgroups, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _around(cgroups / "memory", path, "memory.limit_in_bytes")


def _around(root: Path, path: str, name: str) -> Iterator[int]:
    """Yield the limits from a group up to the root, which in a container may be the container's group itself."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        # Not every group is visible in a container, and the limit may be "max".
        with suppress(OSError, ValueError):
            yield int((folder / name).read_text("ascii"))
        if folder == root:
            return
