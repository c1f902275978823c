"""The units of systemd: its own checker accepts them, and they fit the settings of the service."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.deployed import CONTAINER
from web.settings import AdmissionSettings

FOLDER = CONTAINER / "systemd"
_PROGRAM = "/opt/tailrace/bin/tailrace"
_MARGIN_SECONDS = 10
"""For responses to cancelled requests, and for the end of the process."""


def _value(unit: str, name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", (FOLDER / unit).read_text("utf-8"), re.MULTILINE)
    return str(value)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: install Debian's package systemd")
    program = Path(sys.prefix) / "bin" / "tailrace"
    for unit in FOLDER.iterdir():
        text = unit.read_text("utf-8").replace(_PROGRAM, str(program))
        (tmp_path / unit.name).write_text(text)
    units = ["tailrace@8001.service", "tailrace-sweep.service", "tailrace-sweep.timer"]
    # It exits with 0 after an unknown key: what it prints counts.
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(f"./{unit}" for unit in units)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "tailrace" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_service_has_the_time_that_it_takes_to_stop() -> None:
    settings = AdmissionSettings()
    seconds = settings.drain_seconds + settings.shutdown_grace_seconds + _MARGIN_SECONDS
    assert int(_value("tailrace@.service", "TimeoutStopSec")) >= seconds


def test_units_start_commands_that_exist() -> None:
    for unit, command in (("tailrace@.service", "serve"), ("tailrace-sweep.service", "sweep")):
        assert _value(unit, "ExecStart") == f"{_PROGRAM} {command}"
