"""The suite runs the same whatever the shell and the home folder of the developer have."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.helpers.environment import SWITCHES, isolate

ROOT = Path(__file__).parents[2]
AT_IMPORT = dict(os.environ)
HOSTILE = {
    "TAILRACE_RESULTS": "/elsewhere",
    "TAILRACE_API_KEYS": "key=team",
    "tailrace_port": "1",
    "AZURE_STORAGE_CONNECTION_STRING": "AccountName=real",
    "DUCKDB_PATH": "/elsewhere",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    "XDG_CONFIG_HOME": "/elsewhere",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
    "NO_PROXY": "*",
}


def test_settings_and_proxies_are_removed_and_switches_stay(tmp_path: Path) -> None:
    others = {"PATH": "/bin", "LANG": "C.UTF-8", **dict.fromkeys(SWITCHES, "1")}
    environment = {**HOSTILE, **others, "HOME": "/home/someone"}
    isolate(environment, tmp_path)
    assert environment == {**others, "HOME": str(tmp_path), "TAILRACE_ENV_FILE": ""}


def test_no_foreign_setting_is_left_when_modules_are_imported() -> None:
    copy = dict(AT_IMPORT)
    isolate(copy, Path(AT_IMPORT["HOME"]))
    assert copy == AT_IMPORT
    assert Path.home().name.startswith("tailrace-tests-home-")


def test_duckdb_finds_no_extension_of_the_developer() -> None:
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    with pytest.raises(duckdb.Error, match=r"not found|not be loaded"):
        connection.execute("LOAD azure")


def test_a_hostile_shell_changes_nothing(tmp_path: Path) -> None:
    """The two tests above, started from a shell with such settings and a broken extension at home."""
    [(version, platform)] = duckdb.sql(
        "FROM pragma_version() SELECT library_version, (FROM pragma_platform())"
    ).fetchall()
    extension = tmp_path / ".duckdb" / "extensions" / version / platform / "azure.duckdb_extension"
    extension.parent.mkdir(parents=True)
    extension.write_bytes(b"this is no extension")
    chosen = [
        f"{__file__}::{test.__name__}"
        for test in (
            test_no_foreign_setting_is_left_when_modules_are_imported,
            test_duckdb_finds_no_extension_of_the_developer,
        )
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    environment = {**os.environ, **HOSTILE, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
