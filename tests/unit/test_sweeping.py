"""The periodic sweeps of the service."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.common.cancellation import CancelToken
from engine.errors import StoreUnavailable
from engine.exports.exporter import Exporter
from engine.exports.leases import Leases
from tests.helpers.engine import Engine
from web.jobs.sweeping import Sweeping


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = Engine(tmp_path)
    engine.publish_rows([{"n": n} for n in range(10)])
    return engine


def _expired(engine: Engine, count: int = 3) -> Exporter:
    past = datetime.now(UTC) - timedelta(days=2)
    exporter = Exporter(
        engine.results, engine.store, engine.settings(1), clock=lambda: past, retention=timedelta(minutes=1)
    )
    for number in range(count):
        plan = engine.plan(exporter, "csv", filters=[{"field": "n", "operator": "NOT_EQUALS", "value": number}])
        exporter.export(plan, CancelToken())
    return exporter


def _exports(engine: Engine) -> list[str]:
    return [info.key for info in engine.store.list("w/")]


def test_the_service_sweeps_periodically(engine: Engine) -> None:
    exporter = _expired(engine)
    swept = threading.Event()

    class Watched(Sweeping):
        def sweep(self) -> None:
            super().sweep()
            swept.set()

    with Watched(exporter, engine.settings(1), 0.01).running():
        assert swept.wait(30)
    assert _exports(engine) == []


def test_several_replicas_can_sweep_at_the_same_time(engine: Engine) -> None:
    exporter = _expired(engine, 20)
    sweepers = [threading.Thread(target=Sweeping(exporter, engine.settings(1), 1).sweep) for _ in range(4)]
    for thread in sweepers:
        thread.start()
    for thread in sweepers:
        thread.join()
    assert _exports(engine) == []


def test_an_interval_of_zero_disables_sweeps(engine: Engine) -> None:
    before = threading.active_count()
    with Sweeping(_expired(engine, 1), engine.settings(1), 0).running():
        assert threading.active_count() == before
    assert len(_exports(engine)) == 1


def test_a_hanging_sweep_does_not_delay_the_shutdown(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, begun, go_on = _expired(engine, 1), threading.Event(), threading.Event()

    def hang(prefix: str) -> Iterator[Any]:
        begun.set()
        go_on.wait(60)
        raise StoreUnavailable("gone")

    monkeypatch.setattr(engine.store, "list", hang)
    with Sweeping(exporter, engine.settings(1), 0.01).running():
        assert begun.wait(30)
    thread = next(thread for thread in threading.enumerate() if thread.name == "sweep")
    # The thread is still sweeping, and the interpreter does not wait for it.
    assert thread.daemon
    go_on.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_failure_is_logged_and_the_next_sweep_tries_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = _expired(engine)
    sweeping = Sweeping(exporter, engine.settings(1), 1)
    with monkeypatch.context() as away:
        away.setattr(Leases, "mark_for_deletion", lambda *_: (_ for _ in ()).throw(StoreUnavailable("away")))
        sweeping.sweep()
    assert "sweep failed" in caplog.text
    assert len(_exports(engine)) == 3
    sweeping.sweep()
    assert _exports(engine) == []


@pytest.mark.parametrize("by", [timedelta(days=1), -timedelta(days=1)])
def test_with_a_wrong_clock_nothing_is_swept(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, by: timedelta
) -> None:
    exporter = _expired(engine)
    sweeping = Sweeping(exporter, engine.settings(1), 1)
    check = engine.store.check
    with monkeypatch.context() as wrong:
        wrong.setattr(engine.store, "check", lambda: check() + by)
        sweeping.sweep()
    assert "sweep refused: This machine's clock is 86," in caplog.text
    assert len(_exports(engine)) == 3
    sweeping.sweep()
    assert _exports(engine) == []
