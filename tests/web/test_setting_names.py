"""`tailrace serve` and `tailrace doctor` report deprecated and unknown names of settings."""

import json
from pathlib import Path

from tests.helpers.server import Server

OLD = {"TAILRACE_EXPORTS_AT_ONCE": "2", "TAILRACE_DEADLINE_SECONDS": "60"}
TYPO = {"TAILRACE_THREDS": "2"}


def test_serve_logs_each_deprecated_and_unknown_name_once(tmp_path: Path) -> None:
    # Without keys the service ends after it has read its settings.
    done = Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_API_KEYS="", **OLD, **TYPO).command("serve")
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [{name: line[name] for name in line if name != "time"} for line in logged] == [
        {
            "level": "warning",
            "event": "deprecated setting",
            "name": "TAILRACE_DEADLINE_SECONDS",
            "use": ["TAILRACE_EXPORT_TIMEOUT_SECONDS", "TAILRACE_QUEUE_TIMEOUT_SECONDS"],
        },
        {
            "level": "warning",
            "event": "deprecated setting",
            "name": "TAILRACE_EXPORTS_AT_ONCE",
            "use": ["TAILRACE_MAX_CONCURRENT_EXPORTS"],
        },
        {"level": "warning", "event": "unknown setting", "name": "TAILRACE_THREDS", "nearest": "TAILRACE_THREADS"},
    ]


def test_doctor_notes_deprecated_names_and_takes_misspelled_ones_for_problems(tmp_path: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path, **OLD, **TYPO)
    report = json.loads(server.command("doctor", "--json").stdout)
    found = {one["text"]: (one["level"], one["remedy"]) for one in report["findings"] if one["area"] == "settings"}
    assert found == {
        "TAILRACE_DEADLINE_SECONDS is deprecated": (
            "note",
            "use TAILRACE_EXPORT_TIMEOUT_SECONDS and TAILRACE_QUEUE_TIMEOUT_SECONDS instead",
        ),
        "TAILRACE_EXPORTS_AT_ONCE is deprecated": ("note", "use TAILRACE_MAX_CONCURRENT_EXPORTS instead"),
        "TAILRACE_THREDS is not a setting": ("problem", "did you mean TAILRACE_THREADS?"),
    }
    assert report["settings"]["TAILRACE_MAX_CONCURRENT_EXPORTS"] == 2
    assert report["settings"]["TAILRACE_QUEUE_TIMEOUT_SECONDS"] == 60
