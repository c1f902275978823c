"""One replica's clock is wrong, by libfaketime; the other's and the store's are right."""

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.helpers.altered import STAGED, AlteredServer
from tests.helpers.running import wait_for
from tests.helpers.server import KEY, Answer
from tests.replicas.replica import PUBLIC, Replica, opened
from tests.replicas.skewed import SkewedServer, faketime_library

LONG = os.environ.get("TAILRACE_REPLICAS") == "long"
SKEWS = (65, -65, 300, -300, -360) if LONG else (65, -360)
"""Seconds. A redirect to Azure is good for 300 s: by a clock that is 360 s behind, it would end before it begins."""
_DAY_SECONDS = 86_400
ROWS = 25_000
"""The CSV has several blocks of a replica."""
_TOLERANCE_SECONDS = 10
"""Of a measured difference: requests take time on a busy machine, and Azure's dates have no fraction of a second."""
_KEY = {"x-api-key": KEY}
_ASYNC = {**_KEY, "prefer": "respond-async"}
_SECONDS = 60
"""A bound of what hangs."""


@dataclass(frozen=True)
class Skewed:
    """Two replicas on one store."""

    right: Replica
    wrong: SkewedServer
    store: tuple[str, dict[str, str]]
    seconds: int
    numbers: "count[int]"

    def ask(self, server: AlteredServer) -> Answer:
        """A request of an asynchronous export that nobody has made."""
        above = json.dumps([{"field": "n", "operator": "GREATER_THAN", "value": next(self.numbers)}])
        return server.request(f"/v4/workflows/w/data/export?filters={above}".replace(" ", "%20"), headers=_ASYNC)

    def check_said(self, text: str) -> None:
        """Check that a message names the difference of the clocks."""
        direction = "ahead of" if self.seconds > 0 else "behind"
        found = re.findall(rf"clock is ([0-9,]+) seconds {direction} that of the (?:results|exports) store", text)
        assert found, text
        for measured in found:
            assert abs(int(measured.replace(",", "")) - abs(self.seconds)) <= _TOLERANCE_SECONDS


@pytest.fixture(scope="module", params=SKEWS, ids=lambda seconds: f"{seconds:+d} s")
def skewed(
    request: pytest.FixtureRequest,
    module_store_url: tuple[str, dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Skewed]:
    if faketime_library() is None:
        pytest.skip("no libfaketime: install Debian's package libfaketime")
    folder = tmp_path_factory.mktemp("skew")
    (folder / "rows.csv").write_text("n,text\n" + "".join(f"{n},row {n} of the run\n" for n in range(ROWS)))
    location, environment = module_store_url
    store = (f"{location}/{request.param}", environment)
    # On Azure, which checks the redirect's own signature by its clock, the wrong one redirects.
    mode = "redirect" if environment else "stream"
    right = Replica(store, folder / "right")
    (folder / "wrong").mkdir()
    settings = {"TAILRACE_BASE_URL": PUBLIC, "TAILRACE_DOWNLOAD_MODE": mode}
    wrong = SkewedServer(store, folder / "wrong", timedelta(seconds=request.param), **settings)
    right.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
    with right, wrong:
        yield Skewed(right, wrong, store, request.param, count())
        for server in (right, wrong):
            server.go_on()


def test_links_of_each_open_at_the_other(skewed: Skewed) -> None:
    for signs, opens in ((skewed.right, skewed.wrong), (skewed.wrong, skewed.right)):
        made = signs.export("w").json()
        answer = opened(opens, made["url"])
        assert (answer.status, len(answer.body)) == (200, made["sizeBytes"])


def test_only_the_one_with_the_wrong_clock_is_not_ready(skewed: Skewed) -> None:
    assert skewed.right.request("/readyz").status == 200
    answer = skewed.wrong.request("/readyz")
    assert answer.status == 503
    skewed.check_said(answer.json()["clock"])
    assert skewed.wrong.request("/healthz").status == 200


@pytest.mark.parametrize("runs_at", ["right", "wrong"])
def test_an_export_that_runs_at_one_is_running_for_the_other(skewed: Skewed, runs_at: str) -> None:
    runs, asks = (skewed.right, skewed.wrong) if runs_at == "right" else (skewed.wrong, skewed.right)
    runs.halt_at(STAGED)
    location = skewed.ask(runs).headers["location"]
    runs.wait_until_halted()
    try:
        deadline = time.monotonic() + _SECONDS
        while (seen := opened(asks, location, **_KEY).json())["phase"] != "running":
            # The document of a second ago may say that it is queued.
            assert seen["phase"] == "queued", seen
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
    finally:
        runs.go_on()
    wait_for(lambda: "url" in opened(asks, location, **_KEY).json(), _SECONDS)


def test_a_sweep_by_the_wrong_clock_removes_nothing(skewed: Skewed) -> None:
    made = skewed.right.export("w").json()
    done = skewed.wrong.command("sweep")
    assert (done.returncode, done.stdout) == (1, "")
    skewed.check_said(done.stderr)
    assert opened(skewed.right, made["url"]).status == 200
    assert skewed.right.command("sweep").returncode == 0


def test_a_sweep_a_day_ahead_removes_nothing(skewed: Skewed, tmp_path: Path) -> None:
    """By that clock, every export has expired."""
    made = skewed.right.export("w", format="json").json()
    done = SkewedServer(skewed.store, tmp_path, timedelta(seconds=_DAY_SECONDS)).command("sweep")
    assert (done.returncode, done.stdout) == (1, "")
    assert opened(skewed.right, made["url"]).status == 200


def test_doctor_reports_the_wrong_clock(skewed: Skewed) -> None:
    done = skewed.wrong.command("doctor")
    assert done.returncode == 1
    skewed.check_said(" ".join(done.stdout.split()))
