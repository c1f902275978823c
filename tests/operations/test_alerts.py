"""The alerts: promtool reads them and tests when they fire, and a running service exposes what they ask for."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.helpers.altered import READ, AlteredServer
from tests.helpers.deployed import CONTAINER
from tests.helpers.running import wait_for
from tests.helpers.server import KEY, Asked

ALERTS = CONTAINER / "alerts.yaml"
_TESTS = Path(__file__).parent / "alerts.test.yaml"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="there is no promtool: install Debian's package prometheus"
)
LATER = {"x-api-key": KEY, "prefer": "respond-async"}
PATH = "/v4/workflows/w/data/export"


def promtool(*arguments: str, text: str | None = None) -> None:
    """Run it, and fail with what it says."""
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, str]]:
    """The alerts of the file."""
    (group,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    found: list[dict[str, str]] = group["rules"]
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlteredServer]:
    folder = tmp_path_factory.mktemp("alerts")
    with AlteredServer((str(folder / "store"), {}), folder, TAILRACE_MAX_CONCURRENT_EXPORTS="1") as server:
        (folder / "rows.csv").write_text("n\n1\n2\n")
        server.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
        yield server


@needs_promtool
def test_promtool_reads_the_alerts() -> None:
    promtool("check", "rules", str(ALERTS))


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    promtool("test", "rules", str(_TESTS))


def test_each_alert_has_a_test_in_which_it_fires() -> None:
    tests = yaml.safe_load(_TESTS.read_text("utf-8"))["tests"]
    firing = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert firing == {rule["alert"] for rule in rules()}


def test_alerts_ask_for_what_is_exposed(server: AlteredServer) -> None:
    text = server.request("/metrics").body.decode()
    exposed = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    for rule in rules():
        asked = set(re.findall(r"\btailrace_[a-z_]+", rule["expr"]))
        assert asked
        assert asked <= exposed, rule["alert"]
        assert set(re.findall(r'route="([^"]*)"', rule["expr"])) <= {"/readyz"}


@needs_promtool
def test_promtool_finds_no_fault_in_the_metrics(server: AlteredServer) -> None:
    server.download("w")
    promtool("check", "metrics", text=server.request("/metrics").body.decode())


def test_metrics_of_the_process_are_those_of_the_kernel(server: AlteredServer) -> None:
    process = Path(f"/proc/{server.pid}")
    if not process.is_dir():
        pytest.skip("compares with /proc")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    threads, resident = int(status["Threads"]), int(status["VmRSS"].split()[0]) * 1024
    assert abs(server.metric("tailrace_process_threads") - threads) <= 5
    assert server.metric("tailrace_process_resident_memory_bytes") == pytest.approx(resident, rel=0.2)
    (limit,) = re.findall(r"Max open files +(\d+)", (process / "limits").read_text())
    assert server.metric("tailrace_process_max_fds") == int(limit)
    files = len(list((process / "fd").iterdir()))
    assert abs(server.metric("tailrace_process_open_fds") - files) <= 5
    assert 0 < server.metric("tailrace_process_cpu_seconds_total") < 1000
    assert abs(server.metric("tailrace_process_start_time_seconds") - time.time()) < 3600


def test_spill_is_measured(server: AlteredServer) -> None:
    spill = server.folder / "spill"
    before = server.metric("tailrace_spill_bytes")
    spill.mkdir(exist_ok=True)
    (spill / "left").mkdir()
    (spill / "left" / "file").write_bytes(bytes(12_345))
    assert server.metric("tailrace_spill_bytes") == before + 12_345
    shutil.rmtree(spill / "left")
    assert server.metric("tailrace_spill_bytes") == before
    free = server.metric("tailrace_spill_free_bytes")
    assert free == pytest.approx(shutil.disk_usage(server.folder).free, rel=0.2)


def test_waiting_and_asynchronous_exports_have_durations(server: AlteredServer) -> None:
    waited = ("tailrace_queue_seconds_count", "tailrace_queue_seconds_sum")
    ended = ("tailrace_async_export_seconds_count", "tailrace_async_export_seconds_sum")
    count, seconds = (server.metric(name, queue="exports") for name in waited)
    done, lasted = (server.metric(name, outcome="done") for name in ended)
    server.halt_at(READ)
    first = Asked(lambda: server.export("w", sortBy="n"))
    server.wait_until_halted()
    answer = server.request(f"{PATH}?sortBy=n&order=desc&format=json", headers=LATER)
    assert answer.status == 202
    wait_for(lambda: server.metric("tailrace_exports_queued") == 1)
    began = time.monotonic()
    time.sleep(0.5)
    queued = time.monotonic() - began
    server.go_on()
    assert first.answer().status == 200
    wait_for(lambda: server.metric(ended[0], outcome="done") == done + 1)
    # The export that is waited for is none of the asynchronous ones.
    assert server.metric(waited[0], queue="exports") == count + 2
    assert server.metric(waited[1], queue="exports") - seconds >= queued
    assert server.metric(ended[1], outcome="done") - lasted >= queued
