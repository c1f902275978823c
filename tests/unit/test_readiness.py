"""`/readyz` with stores that do not answer: it answers all the same, and such checks do not pile up."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.exports.exporter import Exporter
from engine.exports.readiness import MAX_RUNNING_CHECKS, Readiness
from web.api import health

_SECONDS = 30


class SilentStore:
    """A store whose checks do not end before they are told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.checks = 0
        self.ended = 0

    def check(self) -> datetime:
        self.checks += 1
        self.go_on.wait()
        self.ended += 1
        return datetime.now(UTC)


class AheadStore:
    """A store whose clock is ahead."""

    def check(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)


def probe_of(results: object, exports: object) -> Callable[[], tuple[int, dict[str, str]]]:
    """Asks ``/readyz`` of a service with these stores."""
    exporter = SimpleNamespace(results=SimpleNamespace(store=results), exports=exports)
    services = SimpleNamespace(readiness=Readiness(cast("Exporter", exporter)), draining=asyncio.Event())
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(services=services)))

    def probe() -> tuple[int, dict[str, str]]:
        answer = asyncio.run(health.ready(request))
        return answer.status_code, json.loads(bytes(answer.body))

    return probe


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_CHECK_SECONDS", 0.3)


def test_stores_that_do_not_answer_are_unavailable_and_not_waited_for() -> None:
    results, exports = SilentStore(), SilentStore()
    probe = probe_of(results, exports)
    answer = probe()
    # Both checks are still under way.
    assert (results.checks, exports.checks, results.ended, exports.ended) == (1, 1, 0, 0)
    assert answer == (503, {"results": "unavailable", "exports": "unavailable", "duckdb": "ok"})
    for _ in range(MAX_RUNNING_CHECKS + 2):
        assert probe()[0] == 503
    assert results.checks == exports.checks == MAX_RUNNING_CHECKS
    for store in (results, exports):
        store.go_on.set()
    deadline = time.monotonic() + _SECONDS
    while (answer := probe()) != (200, {"results": "ok", "exports": "ok", "duckdb": "ok"}):
        assert time.monotonic() < deadline, answer


def test_one_store_that_does_not_answer_does_not_hide_the_other() -> None:
    silent = SilentStore()
    status, states = probe_of(silent, AheadStore())()
    assert (status, states["results"], states["exports"]) == (503, "unavailable", "ok")
    assert "behind that of the exports store" in states["clock"]
    silent.go_on.set()


def test_an_unexpected_error_is_an_unavailable_dependency() -> None:
    status, states = probe_of(object(), object())()
    assert (status, states["results"], states["exports"]) == (503, "unavailable", "unavailable")
