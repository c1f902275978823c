"""Exports that end early, or not alone: by their caller, their deadline, a stop of the service, another replica."""

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from tests.faults.house import PATH, House, above
from tests.faults.told import NEXT, WHOLE, Told
from tests.helpers.altered import STAGED, UNCOMMITTED
from tests.helpers.server import KEY, Answer

_NOTICED_SECONDS = 0.3


@pytest.fixture(scope="module")
def house(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(module_store_url, tmp_path_factory.mktemp("ends"))
    with house.server, house.other:
        yield house
        house.server.go_on()


@dataclass(frozen=True)
class End:
    """What is done to an export that stands at a point; ``whole`` if its file is there in the end all the same."""

    do: Callable[[House, int], None]
    told: Told
    point: str = STAGED
    whole: bool = False


def _leave(house: House, number: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.server.port)
    connection.request("GET", f"{PATH}?{urlencode(above(number))}", headers={"x-api-key": KEY})
    house.server.wait_until_halted()
    connection.close()
    time.sleep(_NOTICED_SECONDS)
    house.server.go_on()


def _later(house: House, number: int) -> str:
    headers = {"x-api-key": KEY, "prefer": "respond-async"}
    answer = house.server.request(f"{PATH}?{urlencode(above(number))}", headers=headers)
    assert answer.status == 202, answer.body
    return answer.headers["location"]


def _ended(house: House, location: str) -> Answer:
    deadline = time.monotonic() + 30
    while (answer := house.status(location)).json().get("phase") in ("queued", "running"):
        assert time.monotonic() < deadline, answer.body
        time.sleep(0.05)
    return answer


def _delete(house: House, number: int) -> None:
    location = _later(house, number)
    house.server.wait_until_halted()
    assert house.status(location, "DELETE").status == 202
    house.server.go_on()
    assert _ended(house, location).json()["phase"] == "cancelled"


def _delete_elsewhere(house: House, number: int) -> None:
    location = _later(house, number)
    house.server.wait_until_halted()
    path = location.removeprefix(house.server.base)
    assert house.other.request(path, "DELETE", {"x-api-key": KEY}).status == 202
    # The ticket is looked at once a second.
    time.sleep(1.5)
    house.server.go_on()
    assert _ended(house, location).json()["phase"] == "cancelled"


def _delete_in_the_queue(house: House, number: int) -> None:
    ahead = house.fresh()
    asked = house.ask(ahead)
    house.server.wait_until_halted()
    location = _later(house, number)
    house.wait_for("tailrace_exports_queued", 1)
    assert house.status(location, "DELETE").status == 202
    assert _ended(house, location).json()["phase"] == "cancelled"
    house.server.go_on()
    house.check_answer(asked.answer(), ahead)
    house.remove(asked.answer().json()["exportId"])


def _deadline(house: House, number: int) -> None:
    house.restart(TAILRACE_EXPORT_TIMEOUT_SECONDS="1")
    asked = house.ask(number)
    house.server.wait_until_halted()
    time.sleep(1.2)
    house.server.go_on()
    answer = asked.answer()
    assert (answer.status, answer.json()["code"]) == (400, "limit_exceeded")
    assert "1 s" in answer.json()["message"]
    house.restart(TAILRACE_EXPORT_TIMEOUT_SECONDS="60")


def _terminated(house: House, number: int, grace_seconds: str) -> Answer:
    house.restart(TAILRACE_SHUTDOWN_GRACE_SECONDS=grace_seconds)
    asked = house.ask(number)
    house.server.wait_until_halted()
    os.kill(house.server.pid, signal.SIGTERM)
    time.sleep(_NOTICED_SECONDS)
    house.server.go_on()
    answer = asked.answer()
    house.restart(TAILRACE_SHUTDOWN_GRACE_SECONDS="20")
    return answer


def _stop_without_grace(house: House, number: int) -> None:
    answer = _terminated(house, number, "0")
    assert (answer.status, answer.json()["code"]) == (503, "cancelled")
    assert int(answer.headers["retry-after"]) > 0


def _stop_within_the_grace(house: House, number: int) -> None:
    house.check_answer(_terminated(house, number, "60"), number)


def _terminated_later(house: House, number: int, grace_seconds: str) -> Answer:
    """What another replica tells of an asynchronous export whose process is stopped, and the ticket too."""
    house.restart(TAILRACE_SHUTDOWN_GRACE_SECONDS=grace_seconds)
    location = _later(house, number)
    house.server.wait_until_halted()
    os.kill(house.server.pid, signal.SIGTERM)
    time.sleep(_NOTICED_SECONDS)
    house.server.go_on()
    house.restart(TAILRACE_SHUTDOWN_GRACE_SECONDS="20")
    return house.other.request(location.removeprefix(house.server.base), headers={"x-api-key": KEY})


def _stop_later_without_grace(house: House, number: int) -> None:
    assert _terminated_later(house, number, "0").json()["phase"] == "cancelled"


def _stop_later_within_the_grace(house: House, number: int) -> None:
    answer = _terminated_later(house, number, "60")
    house.check_answer(answer, number)
    # The file says so by itself; its ticket has to say it too.
    assert house.ticket(answer.json()["exportId"])["phase"] == "done"


def _other_commits_first(house: House, number: int) -> None:
    asked = house.ask(number)
    house.server.wait_until_halted()
    by_other = house.ask(number, house.other).answer()
    house.check_answer(by_other, number)
    house.server.go_on()
    house.check_answer(asked.answer(), number)
    varying = {"url": "", "expiresAt": ""}
    assert asked.answer().json() | varying == by_other.json() | varying


ENDS = {
    "the client disconnects while blocks are staged": End(_leave, Told("-", NEXT)),
    "the client disconnects at the commit": End(_leave, Told("-", WHOLE), UNCOMMITTED, whole=True),
    "DELETE while blocks are staged": End(_delete, Told("`cancelled`", NEXT)),
    "DELETE at another replica": End(_delete_elsewhere, Told("`cancelled`", NEXT)),
    "DELETE in the queue": End(
        _delete_in_the_queue, Told("`cancelled`", "the file ahead of it; the next export works")
    ),
    "the deadline passes": End(_deadline, Told("400 `limit_exceeded`", NEXT)),
    "SIGTERM, and the grace period ends": End(_stop_without_grace, Told("503 `cancelled`", NEXT)),
    "SIGTERM, and it finishes within the grace period": End(
        _stop_within_the_grace, Told("the answer", WHOLE), whole=True
    ),
    "SIGTERM during an asynchronous export, and the grace period ends": End(
        _stop_later_without_grace, Told("`cancelled`, at any replica", NEXT)
    ),
    "SIGTERM during an asynchronous export that finishes within the grace period": End(
        _stop_later_within_the_grace, Told("the answer, at any replica", WHOLE), whole=True
    ),
    "another replica commits the same export first": End(
        _other_commits_first, Told("both get the same answer", "one file"), UNCOMMITTED, whole=True
    ),
}
TOLD = {name: end.told for name, end in ENDS.items()}


@pytest.mark.parametrize("name", ENDS)
def test_what_ends_early_leaves_nothing(house: House, name: str) -> None:
    end = ENDS[name]
    older = house.fresh()
    house.ask(older).answer()
    before = house.visible()
    number = house.fresh()
    house.server.halt_at(end.point)
    end.do(house, number)
    house.wait_for("tailrace_exports_running", 0)
    there = house.visible()
    assert there.items() >= before.items(), "the older file is as it was"
    assert len(there) - len(before) == end.whole
    assert house.leftovers() == []
    house.check_next(number)
