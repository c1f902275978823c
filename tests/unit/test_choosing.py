"""Which runner an export gets, and what is said where there is none."""

from pathlib import Path

import pytest

from engine.errors import InvalidInput
from engine.runners import LocalRunner, size_router
from engine.runners.ray import client
from engine.runners.size_router import SizedRunner, make_runner, spreads
from engine.settings import RunnerSettings, StorageSettings
from tests.helpers.engine import Engine


def _made(folder: Path, settings: RunnerSettings) -> object:
    engine = Engine(folder)
    return make_runner(settings, StorageSettings(), engine.settings(1), engine.store, engine.store)


def test_nothing_is_asked_of_ray_unless_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_router, "find_spec", lambda _: None)
    assert isinstance(_made(tmp_path, RunnerSettings()), LocalRunner)


def test_a_missing_package_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_router, "find_spec", lambda _: None)
    with pytest.raises(InvalidInput, match="needs the package ray") as told:
        _made(tmp_path, RunnerSettings(runner="ray", ray_address="h:1"))
    assert told.value.details["remedy"] == "pip install 'tailrace[ray]'"


def test_a_missing_address_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_router, "find_spec", lambda _: object())
    with pytest.raises(InvalidInput, match="needs a cluster") as told:
        _made(tmp_path, RunnerSettings(runner="ray"))
    assert "RAY_ADDRESS" in str(told.value.details["remedy"])
    made = _made(tmp_path, RunnerSettings(runner="ray", ray_address="h:1"))
    assert isinstance(made, SizedRunner)


def test_limits_of_tasks_reach_whoever_drives_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(size_router, "find_spec", lambda _: object())
    monkeypatch.setattr(client, "DrivenRunner", lambda *_, **options: found.append(options))
    _made(tmp_path, RunnerSettings(runner="ray", ray_address="h:1", ray_max_tasks=7))
    assert found == [{"tasks_at_once": 7}]


def test_small_plans_stay_here(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    run = engine.publish_rows([{"n": n} for n in range(300_000)])
    exporter = engine.exporter(range_bytes=1)
    plan = engine.plan(exporter, "csv")
    size = sum(group.bytes for part in run.parts for group in part.row_groups)
    read = sum(range_.bytes for range_ in plan.scan_ranges)
    assert abs(read - size) < 100_000
    assert spreads(plan, read)
    assert not spreads(plan, read + 1)
    assert spreads(engine.plan(exporter, "csv", sort_by="n"), read)
    assert not spreads(engine.plan(engine.exporter(), "csv"), 0), "a single range cannot be spread"
