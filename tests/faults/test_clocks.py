"""The service's clock jumps forward or back: URLs expire or wait, files are retained, and the next export works."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from engine.stores import open_store
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
    seconds = str(int(TTL.total_seconds()))
    settings = {"TAILRACE_URL_TTL_SECONDS": seconds, "TAILRACE_URL_MAX_TTL_SECONDS": seconds}
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
    # The URL expires later than any that was signed now: it is of the future.
    assert _code(server.request(made["url"])) == (401, "clock_skew")


def _while_it_runs(server: AlteredServer, by: timedelta) -> None:
    server.halt_at(READ)
    path = f"/v4/workflows/w/data/export?format=parquet&includeRowIds={str(by > _RIGHT).lower()}"
    answer = server.request(path, headers={"x-api-key": KEY, "prefer": "respond-async"})
    server.wait_until_halted()
    server.move_clock(by)
    location, headers = answer.headers["location"], {"x-api-key": KEY}
    # The store's time has not changed, so the export never looks interrupted.
    deadline = time.monotonic() + _REWRITTEN_SECONDS
    while (body := server.request(location, headers=headers).json())["phase"] != "running":
        assert body["phase"] == "queued", body
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
        Outcome("401 `clock_skew` until the clock is right; another URL when asked", WHOLE),
    ),
    "the clock jumps forward by a day while an export runs": (
        lambda server, _: _while_it_runs(server, timedelta(days=1)),
        Outcome("the answer", WHOLE),
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


@pytest.mark.parametrize("days", [1, -1])
@pytest.mark.parametrize("option", [(), ("--dry-run",)], ids=["sweep", "dry run"])
def test_a_sweep_with_a_wrong_clock_removes_nothing(server: AlteredServer, days: int, option: tuple[str, ...]) -> None:
    server.move_clock(_RIGHT)
    made = server.export("w").json()
    exports = open_store(
        server.environment["TAILRACE_EXPORTS"],
        connection_string=server.environment.get("AZURE_STORAGE_CONNECTION_STRING"),
    )
    before = [info.key for info in exports.list("")]
    server.move_clock(timedelta(days=days))
    done = server.command("sweep", *option)
    server.move_clock(_RIGHT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(" Nothing was removed.\n")
    # The command starts some seconds after the test, and the requests take a moment.
    direction = "ahead of" if days > 0 else "behind"
    (seconds,) = re.findall(rf"clock is ([0-9,]+) seconds {direction} that of the results store: correct", done.stderr)
    assert abs(int(seconds.replace(",", "")) - 86_400) <= 10
    assert [info.key for info in exports.list("")] == before
    assert server.request(made["url"]).body == b"n\n1\n2\n"
    assert server.command("sweep").returncode == 0


def test_a_service_with_a_wrong_clock_is_not_ready(server: AlteredServer) -> None:
    server.move_clock(_RIGHT)
    assert server.request("/readyz").json() == {"results": "ok", "exports": "ok", "duckdb": "ok"}
    for seconds, direction in ((50, None), (-50, None), (75, "ahead of"), (-75, "behind")):
        server.move_clock(timedelta(seconds=seconds))
        answer = server.request("/readyz")
        state = answer.json()
        said = state.pop("clock", None)
        assert state == {"results": "ok", "exports": "ok", "duckdb": "ok"}
        assert answer.status == (200 if direction is None else 503)
        if direction is None:
            assert said is None
            continue
        (measured,) = re.findall(rf"clock is ([0-9]+) seconds {direction} that of the exports store: correct", said)
        assert abs(int(measured) - 75) <= 10
        assert any("not ready: clock" in json.dumps(line) for line in server.logged())
    server.move_clock(_RIGHT)
    assert server.request("/readyz").status == 200
