"""The service's clock jumps forward or back: URLs expire or wait, files are retained, and the next export works."""

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.faults.fault_table import WHOLE, Outcome
from tests.helpers.altered import READ, AlteredServer
from tests.helpers.server import KEY, Answer

TTL = timedelta(hours=2)
_REWRITTEN_SECONDS = 20
_RIGHT = timedelta(0)


@pytest.fixture(scope="module")
def server(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlteredServer]:
    folder = tmp_path_factory.mktemp("clocks")
    (folder / "rows.csv").write_text("n\n1\n2\n")
    settings = {"TAILRACE_URL_TTL_SECONDS": str(int(TTL.total_seconds()))}
    with AlteredServer(module_store_url, folder, **settings) as server:
        server.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
        yield server
        server.go_on()


def _code(answer: Answer) -> tuple[int, str]:
    return answer.status, "" if answer.status == 200 else answer.json()["code"]


def _forward_beyond(server: AlteredServer, made: dict[str, Any]) -> None:
    server.move_clock(TTL + timedelta(seconds=1))
    assert _code(server.request(made["url"])) == (401, "url_expired")


def _forward_within(server: AlteredServer, made: dict[str, Any]) -> None:
    server.move_clock(TTL - timedelta(minutes=1))
    assert server.request(made["url"]).status == 200


def _back_within(server: AlteredServer, made: dict[str, Any]) -> None:
    server.move_clock(-timedelta(seconds=30))
    assert server.request(made["url"]).status == 200


def _back_beyond(server: AlteredServer, made: dict[str, Any]) -> None:
    server.move_clock(-timedelta(minutes=5))
    # No URL is valid before it was signed.
    assert _code(server.request(made["url"])) == (401, "unauthorized")


def _while_it_runs(server: AlteredServer, by: timedelta) -> None:
    server.halt_at(READ)
    path = f"/v4/workflows/w/data/export?format=parquet&includeRowIds={str(by > _RIGHT).lower()}"
    answer = server.request(path, headers={"x-api-key": KEY, "prefer": "respond-async"})
    server.wait_until_halted()
    server.move_clock(by)
    location, headers = answer.headers["location"], {"x-api-key": KEY}
    # The status document is written once a second, later on a busy machine: until then it looks interrupted.
    deadline = time.monotonic() + _REWRITTEN_SECONDS
    while (body := server.request(location, headers=headers).json())["phase"] != "running":
        assert (body["phase"], body["code"]) == ("failed", "interrupted"), body
        assert time.monotonic() < deadline, body
        time.sleep(0.1)
    server.go_on()
    while "url" not in (body := server.request(location, headers=headers).json()):
        assert body["phase"] in ("running", "done"), body
        time.sleep(0.05)
    assert hashlib.sha256(server.request(body["url"]).body).hexdigest() == body["sha256"]


JUMPS: dict[str, tuple[Callable[[AlteredServer, dict[str, Any]], None], Outcome]] = {
    "the clock jumps forward, beyond a URL's expiry": (
        _forward_beyond,
        Outcome("401 `url_expired`; another URL when asked", WHOLE),
    ),
    "the clock jumps forward, before a URL's expiry": (_forward_within, Outcome("the file", WHOLE)),
    "the clock jumps back by half a minute": (_back_within, Outcome("the file", WHOLE)),
    "the clock jumps back by more than a minute": (
        _back_beyond,
        Outcome("401 until the clock is right; another URL when asked", WHOLE),
    ),
    "the clock jumps forward by a day while an export runs": (
        lambda server, _: _while_it_runs(server, timedelta(days=1)),
        Outcome("`interrupted` for at most a second, then the answer", WHOLE),
    ),
    "the clock jumps back by a day while an export runs": (
        lambda server, _: _while_it_runs(server, -timedelta(days=1)),
        Outcome("the answer", WHOLE),
    ),
}
OUTCOMES = {name: outcome for name, (_, outcome) in JUMPS.items()}


@pytest.mark.parametrize("name", JUMPS)
def test_a_clock_jump_removes_no_file(server: AlteredServer, name: str) -> None:
    jump, _ = JUMPS[name]
    server.move_clock(_RIGHT)
    made = server.export("w").json()
    assert server.request(made["url"]).body == b"n\n1\n2\n"
    jump(server, made)
    # With the changed clock, the next request gets the same file.
    again = server.export("w").json()
    assert (again["exportId"], again["sha256"]) == (made["exportId"], made["sha256"])
    assert server.request(again["url"]).body == b"n\n1\n2\n"
    server.move_clock(_RIGHT)
    assert server.request(made["url"]).body == b"n\n1\n2\n"
