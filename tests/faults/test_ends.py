"""Exports that end early: by their client, their timeout, a stop of the service or another replica."""

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from tests.faults.deployment import PATH, Deployment, above
from tests.faults.fault_table import NEXT, WHOLE, Outcome
from tests.helpers.altered import STAGED, UNCOMMITTED
from tests.helpers.server import KEY, Answer

_NOTICED_SECONDS = 0.3


@pytest.fixture(scope="module")
def deployment(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    deployment = Deployment(module_store_url, tmp_path_factory.mktemp("ends"))
    with deployment.server, deployment.other:
        yield deployment
        deployment.server.go_on()


@dataclass(frozen=True)
class End:
    """An action while an export is halted at a point. ``whole``: its file exists in the end all the same."""

    do: Callable[[Deployment, int], None]
    outcome: Outcome
    point: str = STAGED
    whole: bool = False


def _leave(deployment: Deployment, number: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", deployment.server.port)
    connection.request("GET", f"{PATH}?{urlencode(above(number))}", headers={"x-api-key": KEY})
    deployment.server.wait_until_halted()
    connection.close()
    time.sleep(_NOTICED_SECONDS)
    deployment.server.go_on()


def _later(deployment: Deployment, number: int) -> str:
    headers = {"x-api-key": KEY, "prefer": "respond-async"}
    answer = deployment.server.request(f"{PATH}?{urlencode(above(number))}", headers=headers)
    assert answer.status == 202, answer.body
    return answer.headers["location"]


def _ended(deployment: Deployment, location: str) -> Answer:
    deadline = time.monotonic() + 30
    while (answer := deployment.status(location)).json().get("phase") in ("queued", "running"):
        assert time.monotonic() < deadline, answer.body
        time.sleep(0.05)
    return answer


def _delete(deployment: Deployment, number: int) -> None:
    location = _later(deployment, number)
    deployment.server.wait_until_halted()
    assert deployment.status(location, "DELETE").status == 202
    deployment.server.go_on()
    assert _ended(deployment, location).json()["phase"] == "cancelled"


def _delete_elsewhere(deployment: Deployment, number: int) -> None:
    location = _later(deployment, number)
    deployment.server.wait_until_halted()
    path = location.removeprefix(deployment.server.base)
    assert deployment.other.request(path, "DELETE", {"x-api-key": KEY}).status == 202
    # The status document is read once a second.
    time.sleep(1.5)
    deployment.server.go_on()
    assert _ended(deployment, location).json()["phase"] == "cancelled"


def _delete_in_the_queue(deployment: Deployment, number: int) -> None:
    ahead = deployment.fresh()
    asked = deployment.ask(ahead)
    deployment.server.wait_until_halted()
    location = _later(deployment, number)
    deployment.wait_for("tailrace_exports_queued", 1)
    assert deployment.status(location, "DELETE").status == 202
    assert _ended(deployment, location).json()["phase"] == "cancelled"
    deployment.server.go_on()
    deployment.check_answer(asked.answer(), ahead)
    deployment.remove(asked.answer().json()["exportId"])


def _deadline(deployment: Deployment, number: int) -> None:
    deployment.restart(TAILRACE_DEADLINE_SECONDS="1")
    asked = deployment.ask(number)
    deployment.server.wait_until_halted()
    time.sleep(1.2)
    deployment.server.go_on()
    answer = asked.answer()
    assert (answer.status, answer.json()["code"]) == (400, "limit_exceeded")
    assert "1 s" in answer.json()["message"]
    deployment.restart(TAILRACE_DEADLINE_SECONDS="60")


def _terminated(deployment: Deployment, number: int, grace_seconds: str) -> Answer:
    deployment.restart(TAILRACE_GRACE_SECONDS=grace_seconds)
    asked = deployment.ask(number)
    deployment.server.wait_until_halted()
    os.kill(deployment.server.pid, signal.SIGTERM)
    time.sleep(_NOTICED_SECONDS)
    deployment.server.go_on()
    answer = asked.answer()
    deployment.restart(TAILRACE_GRACE_SECONDS="20")
    return answer


def _stop_without_grace(deployment: Deployment, number: int) -> None:
    answer = _terminated(deployment, number, "0")
    assert (answer.status, answer.json()["code"]) == (503, "cancelled")
    assert int(answer.headers["retry-after"]) > 0


def _stop_within_the_grace(deployment: Deployment, number: int) -> None:
    deployment.check_answer(_terminated(deployment, number, "60"), number)


def _terminated_later(deployment: Deployment, number: int, grace_seconds: str) -> Answer:
    """The status at another replica of an asynchronous export whose process is stopped."""
    deployment.restart(TAILRACE_GRACE_SECONDS=grace_seconds)
    location = _later(deployment, number)
    deployment.server.wait_until_halted()
    os.kill(deployment.server.pid, signal.SIGTERM)
    time.sleep(_NOTICED_SECONDS)
    deployment.server.go_on()
    deployment.restart(TAILRACE_GRACE_SECONDS="20")
    return deployment.other.request(location.removeprefix(deployment.server.base), headers={"x-api-key": KEY})


def _stop_later_without_grace(deployment: Deployment, number: int) -> None:
    assert _terminated_later(deployment, number, "0").json()["phase"] == "cancelled"


def _stop_later_within_the_grace(deployment: Deployment, number: int) -> None:
    answer = _terminated_later(deployment, number, "60")
    deployment.check_answer(answer, number)
    # The file alone would suffice for the answer; the status document must say it too.
    assert deployment.stored_status(answer.json()["exportId"])["phase"] == "done"


def _other_commits_first(deployment: Deployment, number: int) -> None:
    asked = deployment.ask(number)
    deployment.server.wait_until_halted()
    by_other = deployment.ask(number, deployment.other).answer()
    deployment.check_answer(by_other, number)
    deployment.server.go_on()
    deployment.check_answer(asked.answer(), number)
    varying = {"url": "", "expiresAt": ""}
    assert asked.answer().json() | varying == by_other.json() | varying


ENDS = {
    "the client disconnects while blocks are staged": End(_leave, Outcome("-", NEXT)),
    "the client disconnects at the commit": End(_leave, Outcome("-", WHOLE), UNCOMMITTED, whole=True),
    "DELETE while blocks are staged": End(_delete, Outcome("`cancelled`", NEXT)),
    "DELETE at another replica": End(_delete_elsewhere, Outcome("`cancelled`", NEXT)),
    "DELETE in the queue": End(
        _delete_in_the_queue, Outcome("`cancelled`", "the file ahead of it; the next export works")
    ),
    "the deadline passes": End(_deadline, Outcome("400 `limit_exceeded`", NEXT)),
    "SIGTERM, and the grace period ends": End(_stop_without_grace, Outcome("503 `cancelled`", NEXT)),
    "SIGTERM, and it finishes within the grace period": End(
        _stop_within_the_grace, Outcome("the answer", WHOLE), whole=True
    ),
    "SIGTERM during an asynchronous export, and the grace period ends": End(
        _stop_later_without_grace, Outcome("`cancelled`, at any replica", NEXT)
    ),
    "SIGTERM during an asynchronous export that finishes within the grace period": End(
        _stop_later_within_the_grace, Outcome("the answer, at any replica", WHOLE), whole=True
    ),
    "another replica commits the same export first": End(
        _other_commits_first, Outcome("both get the same answer", "one file"), UNCOMMITTED, whole=True
    ),
}
OUTCOMES = {name: end.outcome for name, end in ENDS.items()}


@pytest.mark.parametrize("name", ENDS)
def test_an_export_that_ends_early_leaves_nothing(deployment: Deployment, name: str) -> None:
    end = ENDS[name]
    older = deployment.fresh()
    deployment.ask(older).answer()
    before = deployment.visible()
    number = deployment.fresh()
    deployment.server.halt_at(end.point)
    end.do(deployment, number)
    deployment.wait_for("tailrace_exports_running", 0)
    there = deployment.visible()
    assert there.items() >= before.items(), "the older file is as it was"
    assert len(there) - len(before) == end.whole
    assert deployment.leftovers() == []
    deployment.check_next(number)
