"""Which runner an export gets, and the errors where there is none."""

from pathlib import Path

import pytest

from engine.errors import InvalidInput
from engine.runners import LocalRunner, size_router
from engine.runners.ray import client
from engine.runners.size_router import SizeRouter, make_runner, worth_a_cluster
from engine.settings import RunnerSettings, StorageSettings
from tests.helpers.engine import Engine


def _made(folder: Path, settings: RunnerSettings) -> object:
    engine = Engine(folder)
    return make_runner(settings, StorageSettings(), engine.settings(1), engine.store, engine.store)


def test_ray_is_not_needed_for_the_local_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_router, "find_spec", lambda _: None)
    assert isinstance(_made(tmp_path, RunnerSettings()), LocalRunner)


def test_a_missing_package_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_router, "find_spec", lambda _: None)
    with pytest.raises(InvalidInput, match="needs the packages ray and awscrt") as raised:
        _made(tmp_path, RunnerSettings(runner="ray", ray_address="h:1"))
    assert raised.value.details["remedy"] == "pip install 'tailrace[ray]'"


def test_a_missing_address_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_router, "find_spec", lambda _: object())
    with pytest.raises(InvalidInput, match="needs a cluster") as raised:
        _made(tmp_path, RunnerSettings(runner="ray"))
    assert "RAY_ADDRESS" in str(raised.value.details["remedy"])
    made = _made(tmp_path, RunnerSettings(runner="ray", ray_address="h:1"))
    assert isinstance(made, SizeRouter)


def test_the_limits_of_the_cluster_are_passed_to_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(size_router, "find_spec", lambda _: object())
    monkeypatch.setattr(client, "RayClientRunner", lambda *_, **options: found.append(options))
    _made(tmp_path, RunnerSettings(runner="ray", ray_address="h:1", ray_max_tasks=7, sha256_limit="3GB"))
    assert found == [{"max_tasks": 7, "max_hashed_bytes": 3_000_000_000}]


def test_plans_below_the_limit_or_with_one_range_run_locally(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    run = engine.publish_rows([{"n": n} for n in range(300_000)])
    exporter = engine.exporter(range_bytes=1)
    plan = engine.plan(exporter, "csv")
    size = sum(group.bytes for part in run.parts for group in part.row_groups)
    read = sum(range_.bytes for range_ in plan.scan_ranges)
    assert abs(read - size) < 100_000
    assert worth_a_cluster(plan, read)
    assert not worth_a_cluster(plan, read + 1)
    assert worth_a_cluster(engine.plan(exporter, "csv", sort_by="n"), read)
    assert not worth_a_cluster(engine.plan(exporter, "xlsx"), 0), "a sheet is written by one process"
    assert not worth_a_cluster(engine.plan(engine.exporter(), "csv"), 0), "a single range needs no cluster"
