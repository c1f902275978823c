"""One replica's clock is wrong, by libfaketime; the other's and the store's are right."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from tests.helpers.altered import STAGED
from tests.helpers.running import wait_for
from tests.helpers.server import KEY, Answer
from tests.replicas.replica import LIBRARY, MISSING, Replica, opened

LONG = os.environ.get("TAILRACE_REPLICAS") == "long"
SKEWS = (65, -65, 300, -300) if LONG else (65, -300)
ROWS = 25_000
"""The CSV has several blocks of a replica."""
_ASYNC = {"x-api-key": KEY, "prefer": "respond-async"}


@dataclass(frozen=True)
class Skewed:
    """Two replicas on one store."""

    right: Replica
    wrong: Replica
    seconds: int
    numbers: "count[int]"

    def ask(self, server: Replica) -> Answer:
        """A request of an asynchronous export that nobody has made."""
        above = json.dumps([{"field": "n", "operator": "GREATER_THAN", "value": next(self.numbers)}])
        return server.request(f"/v4/workflows/w/data/export?filters={above}".replace(" ", "%20"), headers=_ASYNC)


@pytest.fixture(scope="module", params=SKEWS, ids=lambda seconds: f"{seconds:+d} s")
def skewed(
    request: pytest.FixtureRequest,
    module_store_url: tuple[str, dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Skewed]:
    if LIBRARY is None:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("skew")
    (folder / "rows.csv").write_text("n,text\n" + "".join(f"{n},row {n} of the run\n" for n in range(ROWS)))
    location, environment = module_store_url
    store = (f"{location}/{request.param}", environment)
    # On Azure, which checks the redirect's own signature by its clock, the wrong one redirects.
    mode = "redirect" if environment else "stream"
    right = Replica(store, folder / "right")
    wrong = Replica(store, folder / "wrong", skew=request.param, TAILRACE_DOWNLOAD_MODE=mode)
    right.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
    with right, wrong:
        yield Skewed(right, wrong, request.param, count())
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
    assert (answer.status, "clock" in answer.json()) == (503, True)
    assert skewed.wrong.request("/healthz").status == 200


@pytest.mark.parametrize("runs_at", ["right", "wrong"])
def test_an_export_that_runs_at_one_is_running_for_the_other(skewed: Skewed, runs_at: str) -> None:
    runs, asks = (skewed.right, skewed.wrong) if runs_at == "right" else (skewed.wrong, skewed.right)
    runs.halt_at(STAGED)
    location = skewed.ask(runs).headers["location"]
    runs.wait_until_halted()
    seen = opened(asks, location, **{"x-api-key": KEY}).json()
    assert seen["phase"] == "running", seen
    runs.go_on()
    wait_for(lambda: "url" in opened(asks, location, **{"x-api-key": KEY}).json(), 60)


def test_a_sweep_by_the_wrong_clock_removes_nothing(skewed: Skewed) -> None:
    made = skewed.right.export("w").json()
    done = skewed.wrong.by_its_clock("sweep")
    assert done.returncode == 1, done.stdout
    assert "clock" in done.stderr
    assert opened(skewed.right, made["url"]).status == 200
    assert skewed.right.by_its_clock("sweep").returncode == 0


def test_doctor_reports_the_wrong_clock(skewed: Skewed) -> None:
    done = skewed.wrong.by_its_clock("doctor")
    assert (done.returncode, "clock" in done.stdout) == (1, True), done.stdout
