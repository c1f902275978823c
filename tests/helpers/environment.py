"""What a test run takes over from the shell that starts it: nothing that changes the programs under test."""

from collections.abc import MutableMapping
from pathlib import Path

SWITCHES = frozenset(
    f"TAILRACE_{name}"
    for name in (
        "CASES", "CASES_SCHEMATHESIS", "HEALTH_ROWS", "HEALTH_SECONDS", "LOAD_CLIENTS", "LOAD_SECONDS", "MEMORY_ROWS",
        "OPERATIONS", "REPLICAS", "RESTART_REQUESTS", "SCREENSHOTS", "SEED", "SHARED", "STALLED_BODIES",
        "STALLED_READERS",
    )
)  # fmt: skip
"""The suite's own variables, which `make test-long` sets."""

_SETTINGS = ("TAILRACE_", "AZURE_", "DUCKDB_", "OTEL_", "RAY_", "XDG_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY")


def isolate(environment: MutableMapping[str, str], home: Path) -> None:
    """Remove settings and proxies, and set an empty home folder.

    DuckDB loads extensions from the home folder, and Azure's libraries read logins there.
    """
    for name in [*environment]:
        if name not in SWITCHES and name.upper().startswith((*_SETTINGS, *_PROXIES)):
            del environment[name]
    environment["HOME"] = str(home)
    # Not the settings of a checkout in which the service is used, too.
    environment["TAILRACE_ENV_FILE"] = ""
