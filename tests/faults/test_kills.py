"""The process is killed at every step of an export: no partial file is visible, and a sweep removes the rest."""

import hashlib
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.exports.status import STALE_SECONDS
from engine.exports.sweep import ABANDONED_AFTER
from tests.faults.deployment import PATH, Deployment, above, csv_above
from tests.faults.fault_table import NEXT, WHOLE, Outcome
from tests.helpers.altered import BEGUN, COMMITTED, READ, STAGED, UNCOMMITTED
from tests.helpers.server import KEY

_BROKEN = "the connection closes"
_SWEPT = "no object; a sweep removes its temporary files; the next export works"

KILLS = {
    "SIGKILL while it waits in the queue": (BEGUN, Outcome(_BROKEN, NEXT)),
    "SIGKILL before the first byte is read": (BEGUN, Outcome(_BROKEN, NEXT)),
    "SIGKILL while it is read": (READ, Outcome(_BROKEN, _SWEPT)),
    "SIGKILL while blocks are staged": (STAGED, Outcome(_BROKEN, _SWEPT)),
    "SIGKILL before the commit": (UNCOMMITTED, Outcome(_BROKEN, _SWEPT)),
    "SIGKILL before the commit, when another replica has committed the same": (
        UNCOMMITTED,
        Outcome(_BROKEN, "the other's file; a sweep removes the temporary files"),
    ),
    "SIGKILL after the commit, before the answer": (
        COMMITTED,
        Outcome(_BROKEN, f"{WHOLE}, which answers the next request"),
    ),
}
OUTCOMES = {name: outcome for name, (_, outcome) in KILLS.items()}


@pytest.fixture(scope="module")
def deployment(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    deployment = Deployment(module_store_url, tmp_path_factory.mktemp("kills"))
    with deployment.server, deployment.other:
        yield deployment
        deployment.server.go_on()


@pytest.mark.parametrize("name", KILLS)
def test_a_kill_leaves_no_partial_file(deployment: Deployment, name: str) -> None:
    point, _ = KILLS[name]
    older = deployment.fresh()
    deployment.ask(older).answer()
    before = deployment.visible()
    assert [*before.values()] == [hashlib.sha256(csv_above(older)).hexdigest()]
    assert deployment.leftovers() == []

    killed = deployment.fresh()
    deployment.server.halt_at(point)
    asked = [deployment.ask(killed)]
    deployment.server.wait_until_halted()
    if "queue" in name:
        killed = deployment.fresh()
        asked.append(deployment.ask(killed))
        deployment.wait_for("tailrace_exports_queued", 1)
    if "another replica" in name:
        deployment.check_answer(deployment.ask(killed, deployment.other).answer(), killed)
    assert not any(one.answered for one in asked)
    deployment.server.stop(signal.SIGKILL)
    assert all(isinstance(one.outcome(), OSError) for one in asked)
    deployment.server.go_on()

    there = deployment.visible()
    assert there.items() >= before.items(), "the older file is as it was"
    new = [there[key] for key in there if key not in before]
    is_there = point == COMMITTED or "another replica" in name
    assert new == ([hashlib.sha256(csv_above(killed)).hexdigest()] if is_there else [])
    # Blocks on Azure are not local files, and DuckDB may have finished before one is staged there.
    if deployment.local or point != STAGED:
        assert bool(deployment.leftovers()) == (deployment.local and point in (STAGED, UNCOMMITTED))
    deployment.sweep(datetime.now(UTC) + ABANDONED_AFTER + timedelta(minutes=5))
    assert deployment.leftovers() == []
    assert deployment.visible() == there
    deployment.server.start()
    deployment.check_next(killed)


def test_the_status_of_a_killed_process_is_interrupted(deployment: Deployment) -> None:
    before = deployment.visible()
    killed = deployment.fresh()
    deployment.server.halt_at(STAGED)
    headers = {"x-api-key": KEY, "prefer": "respond-async"}
    asked = deployment.server.request(f"{PATH}?{urlencode(above(killed))}", headers=headers)
    assert asked.status == 202
    deployment.server.wait_until_halted()
    deployment.server.stop(signal.SIGKILL)
    deployment.server.go_on()

    def status() -> dict[str, Any]:
        location = asked.headers["location"].removeprefix(deployment.server.base)
        answer: dict[str, Any] = deployment.other.request(location, headers=headers).json()
        return answer

    # Until then, the store could be slow.
    assert status()["phase"] in ("queued", "running")
    deployment.other.move_time(timedelta(seconds=STALE_SECONDS + 1))
    assert (status()["phase"], status()["code"]) == ("failed", "interrupted")
    assert deployment.visible() == before
    # Another request starts it again, under the same id.
    again = deployment.other.request(f"{PATH}?{urlencode(above(killed))}", headers=headers)
    assert (again.status, again.headers["location"].removeprefix(deployment.other.base)) == (
        202,
        asked.headers["location"].removeprefix(deployment.server.base),
    )
    deadline = time.monotonic() + 30
    while "url" not in (made := status()):
        assert made["phase"] in ("queued", "running", "done"), made
        assert time.monotonic() < deadline, made
        time.sleep(0.05)
    deployment.other.move_time(timedelta(0))
    assert deployment.other.request(made["url"]).body == csv_above(killed)
    deployment.sweep(datetime.now(UTC) + ABANDONED_AFTER + timedelta(minutes=5))
    assert deployment.leftovers() == []
    deployment.server.start()
    deployment.check_next(killed)
