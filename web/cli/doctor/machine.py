"""What the machine has to give: DuckDB, a place to spill, memory, a clock."""

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from engine.execute.session import open_session
from engine.query.sandbox.confinement import missing_confinement
from engine.settings import DuckDBSettings
from web.cli.doctor.findings import Finding, note, ok, problem
from web.cli.progress_bar import human_bytes
from web.settings import QuerySettings

_EXTENSIONS = ("core_functions", "json", "parquet")
"""What an export needs; all of them are a part of the Python package, none is ever fetched."""

_LITTLE_SPACE = 1_000_000_000
_RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_duckdb(settings: DuckDBSettings) -> Finding:
    """The version, and that an instance with these limits starts with all that it needs in it."""
    version = importlib.metadata.version("duckdb")
    pinned = _pinned()
    if pinned is not None and version != pinned:
        return problem(
            "duckdb", f"version {version}; {pinned} was tested", f"pip install duckdb=={pinned}: others write otherwise"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="tailrace-doctor-") as folder:
            elsewhere = settings.model_copy(update={"spill_directory": Path(folder)})
            with open_session(elsewhere, threads=1, locked=False) as connection:
                found = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
    except Exception as error:  # noqa: BLE001  # whatever keeps it from starting is what was asked for
        return problem("duckdb", f"version {version} does not start: {error}", "install it anew: pip install duckdb")
    loaded = {name for (name,) in found}
    missing = [name for name in _EXTENSIONS if name not in loaded]
    if missing:
        return problem(
            "duckdb", f"version {version} without {', '.join(missing)}", "install the wheel from PyPI: it has them"
        )
    return ok("duckdb", f"version {version} with {', '.join(_EXTENSIONS)}")


def _pinned() -> str | None:
    try:
        required = importlib.metadata.requires("tailrace") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((text.partition("==")[2] for text in required if text.startswith("duckdb==")), None)


def check_spill(settings: DuckDBSettings, at_once: int, *, write: bool) -> Iterator[Finding]:
    """Whether large sorts have a place, and enough of it."""
    there = settings.spill_directory.absolute()
    while not there.exists() and not there.is_symlink():
        there = there.parent
    remedy = "set TAILRACE_SPILL_DIRECTORY to a directory that this user may write"
    if not there.is_dir():
        yield problem("spill", f"{there} is not a directory, or a broken link", remedy)
        return
    if not os.access(there, os.W_OK | os.X_OK) or (write and not _writable(there)):
        yield problem("spill", f"{there} cannot be written by this user", remedy)
        return
    free, most = shutil.disk_usage(there).free, size_of(settings.spill_limit) * at_once
    text = f"{settings.spill_directory}: {human_bytes(free)} free"
    remedy = "free some, name another disk by TAILRACE_SPILL_DIRECTORY, or lower TAILRACE_SPILL_LIMIT"
    if free < _LITTLE_SPACE:
        yield problem("spill", text, remedy)
    elif free < most:
        yield note("spill", f"{text}, while {at_once} exports may spill {human_bytes(most)}", remedy)
    else:
        yield ok("spill", text)


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"tailrace")
    except OSError:
        return False
    return True


def check_memory(settings: DuckDBSettings, at_once: int) -> Finding:
    """Whether the exports that run at once fit."""
    has, most = _memory(), size_of(settings.memory_limit) * at_once
    text = f"{human_bytes(has)}, of which {at_once} exports at once may take {human_bytes(most)}"
    if most > has:
        return problem("memory", text, "lower TAILRACE_MEMORY_LIMIT or TAILRACE_EXPORTS_AT_ONCE")
    return ok("memory", text)


def _memory() -> int:
    """What this process may have: the machine's, or less in a container."""
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(has, int(_CGROUP_LIMIT.read_text("ascii")))
    except (OSError, ValueError):
        return has


def check_sql(settings: QuerySettings) -> Finding:
    """Whether the kernel can confine callers' SQL, as the setting asks."""
    if settings.sql == "off":
        return ok("sql", "SQL of callers is off")
    try:
        missing = missing_confinement()
    except (OSError, subprocess.SubprocessError) as error:
        return problem(
            "sql", f"no process for a statement can be started: {error}", "see the error above, or free memory"
        )
    lacks = " and ".join(missing)
    if not missing and settings.sql == "confined":
        return ok("sql", "SQL of callers is confined by Landlock and seccomp")
    if not missing:
        return note("sql", "SQL of callers is limited, but this kernel can confine it", "set TAILRACE_SQL=confined")
    if settings.sql == "confined":
        return problem(
            "sql",
            f"SQL of callers is refused: the kernel lacks {lacks}",
            "use a kernel that has it, or set TAILRACE_SQL=limited (without it) or TAILRACE_SQL=off",
        )
    return note("sql", f"SQL of callers runs without {lacks}", "use a kernel that has it; DuckDB's own fence is left")


def check_clock() -> Finding:
    """Whether it can be now; what the stores say of it is looked at with them."""
    now = datetime.now(UTC)
    if now < _RELEASED:
        return problem("clock", f"it says {now:%Y-%m-%d %H:%M} UTC, before this was made", "set the clock (NTP)")
    return ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def size_of(text: str) -> int:
    """Bytes of a size such as ``50GB``."""
    return int(text[:-2]) * (1_000_000_000 if text.endswith("GB") else 1_000_000)
