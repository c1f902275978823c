"""Checks of this machine: DuckDB, the spill directory, memory, the sandbox, the clock."""

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from engine.execute.session import open_session
from engine.query.sandbox.confinement import check_confinement
from engine.settings import DuckDBSettings
from web.cli.doctor.findings import Finding, note, ok, problem
from web.cli.terminal.progress_bar import counted, human_bytes
from web.settings import QuerySettings

_EXTENSIONS = ("core_functions", "json", "parquet")
"""Extensions that exports need; all are built into the Python package, and none is downloaded."""

_MIN_FREE_BYTES = 1_000_000_000
_RELEASED = datetime(2026, 1, 1, tzinfo=UTC)


def check_duckdb(settings: DuckDBSettings) -> Finding:
    """Check the version, and that an instance with these limits starts and has its extensions."""
    version = importlib.metadata.version("duckdb")
    pinned = _pinned()
    if pinned is not None and version != pinned:
        return problem(
            "duckdb",
            f"version {version}; {pinned} was tested",
            f"pip install duckdb=={pinned}: other versions may write other bytes",
        )
    try:
        with tempfile.TemporaryDirectory(prefix="tailrace-doctor-") as folder:
            elsewhere = settings.model_copy(update={"spill_directory": Path(folder)})
            with open_session(elsewhere, threads=1, locked=False) as connection:
                found = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
    except Exception as error:  # noqa: BLE001  # any reason why it does not start is a finding
        return problem(
            "duckdb", f"version {version} does not start: {error}", "reinstall it: pip install --force-reinstall duckdb"
        )
    loaded = {name for (name,) in found}
    missing = [name for name in _EXTENSIONS if name not in loaded]
    if missing:
        return problem(
            "duckdb", f"version {version} without {', '.join(missing)}", "install the wheel from PyPI, which has them"
        )
    return ok("duckdb", f"version {version} with {', '.join(_EXTENSIONS)}")


def _pinned() -> str | None:
    try:
        required = importlib.metadata.requires("tailrace") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((text.partition("==")[2] for text in required if text.startswith("duckdb==")), None)


def check_spill(settings: DuckDBSettings, max_concurrent: int, *, write: bool) -> Iterator[Finding]:
    """Check that large sorts can spill to disk, and that there is enough space."""
    folder = settings.spill_directory.absolute()
    while not folder.exists() and not folder.is_symlink():
        folder = folder.parent
    remedy = "set TAILRACE_SPILL_DIRECTORY to a directory that this user can write"
    if not folder.is_dir():
        yield problem("spill", f"{folder} is not a directory, or is a broken link", remedy)
        return
    if not os.access(folder, os.W_OK | os.X_OK) or (write and not _writable(folder)):
        yield problem("spill", f"{folder} is not writable for this user", remedy)
        return
    free, required = shutil.disk_usage(folder).free, size_of(settings.spill_limit) * max_concurrent
    text = f"{settings.spill_directory}: {human_bytes(free)} free"
    remedy = "free some space, set TAILRACE_SPILL_DIRECTORY to another disk, or lower TAILRACE_SPILL_LIMIT"
    if free < _MIN_FREE_BYTES:
        yield problem("spill", text, remedy)
    elif free < required:
        yield note(
            "spill",
            f"{text}, but {counted(max_concurrent, 'concurrent export')} may spill {human_bytes(required)}",
            remedy,
        )
    else:
        yield ok("spill", text)


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"tailrace")
    except OSError:
        return False
    return True


def check_sql(settings: QuerySettings) -> Finding:
    """Check that the kernel supports the sandbox for callers' SQL that the setting requires."""
    if settings.user_sql == "off":
        return ok("sql", "callers' SQL is off")
    try:
        found = check_confinement()
    except (OSError, subprocess.SubprocessError) as error:
        return problem("sql", f"a process for a statement cannot be started: {error}", "see the error, or free memory")
    missing = found.missing
    lacking = " and ".join(missing)
    root = " as root without capabilities, since CAP_SETUID is missing" if found.stays_root else ""
    if not missing and root and settings.user_sql == "confined":
        return note(
            "sql",
            f"callers' SQL is confined by Landlock and seccomp, but runs{root}",
            "run the service as an unprivileged user, or allow it CAP_SETUID and CAP_SETGID",
        )
    if not missing and settings.user_sql == "confined":
        return ok("sql", "callers' SQL is confined by Landlock and seccomp")
    if not missing:
        return note(
            "sql", "callers' SQL is limited, but this kernel could also confine it", "set TAILRACE_USER_SQL=confined"
        )
    if settings.user_sql == "confined":
        return problem(
            "sql",
            f"callers' SQL is refused: the kernel lacks {lacking}",
            "use a kernel that supports it, or set TAILRACE_USER_SQL=limited (without it) or TAILRACE_USER_SQL=off",
        )
    return note(
        "sql",
        f"callers' SQL runs{root and f'{root}, and'} without {lacking}",
        "use a kernel that supports it; DuckDB's own restrictions still apply",
    )


def check_clock() -> Finding:
    """Check that the clock is not before the release; the stores' clocks are checked with the stores."""
    now = datetime.now(UTC)
    if now < _RELEASED:
        return problem(
            "clock", f"it says {now:%Y-%m-%d %H:%M} UTC, before this version was released", "set the clock (NTP)"
        )
    return ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def size_of(text: str) -> int:
    """Parse a size such as ``50GB`` into bytes."""
    return int(text[:-2]) * (1_000_000_000 if text.endswith("GB") else 1_000_000)
