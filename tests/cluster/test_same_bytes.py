"""The files of a cluster of two nodes are those that a single process writes."""

import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import InvalidRequest
from engine.publishing import publisher
from engine.stores import open_store
from tests.helpers.azurite import KEY, Azurite
from tests.helpers.engine import TEAM, Engine, entry
from tests.helpers.ray_cluster import RayCluster
from tests.helpers.spread import SMALL, Spread, staged
from tests.property.cases import Cases
from tests.property.datasets import dataset
from tests.property.requests import request_for

FORMATS = ["csv", "json", "parquet"]
REQUESTS: dict[str, dict[str, Any]] = {
    "all": {"include_row_ids": True},
    "filtered": {"filters": [entry("n", "GREATER_THAN", 40_000)]},
    "sorted": {"sort_by": "text", "descending": True},
    "sorted with ties": {"sort_by": "few", "filters": [entry("text", "CONTAINS", "a")]},
}


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_file_in_a_directory_is_the_same(
    cluster: RayCluster,
    spread_on: Callable[..., Spread],
    tmp_path: Path,
    name: str,
    format_name: str,
) -> None:
    spread = spread_on(cluster)
    spread.check(spread.engine.plan(spread.exporter, format_name, **REQUESTS[name]))
    assert staged(tmp_path / "exports") == []


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", ["filtered", "sorted"])
def test_a_file_in_azure_is_the_same_with_the_credentials_of_the_nodes(
    cluster: RayCluster,
    spread_on: Callable[..., Spread],
    azurite: Azurite,
    name: str,
    format_name: str,
) -> None:
    location = f"az://cluster-{uuid.uuid4().hex}/x"
    spread = spread_on(cluster, location, azurite.connection_string)
    spread.check(spread.engine.plan(spread.exporter, format_name, **REQUESTS[name]))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", ["filtered", "sorted with ties"])
def test_a_file_from_azure_into_azure_is_the_same(
    cluster: RayCluster,
    spread_on: Callable[..., Spread],
    azurite: Azurite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    format_name: str,
) -> None:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL)
    chance, rows = Random(6), 20_000
    location = f"az://cluster-{uuid.uuid4().hex}"
    store = open_store(f"{location}/results", connection_string=azurite.connection_string)
    engine = Engine(tmp_path / "engine", store)
    table = {
        "n": pa.array(range(30_000, 30_000 + rows)),
        "text": [f"{chance.getrandbits(64):x}" for _ in range(rows)],
        "few": [chance.choice(["a", None, "é,\n"]) for _ in range(rows)],
    }
    engine.publish(engine.write_parquet(pa.table(table)))
    places = (f"{location}/exports", azurite.connection_string)
    spread = spread_on(cluster, *places, engine, results=f"{location}/results")
    spread.check(engine.plan(spread.exporter, format_name, **REQUESTS[name]))


@pytest.mark.parametrize("place", ["directory", "azure"])
@pytest.mark.parametrize("sort_by", [None, "text"])
def test_tasks_that_stage_several_blocks_give_the_same_file(
    cluster: RayCluster,
    spread_on: Callable[..., Spread],
    large: Engine,
    azurite: Azurite,
    place: str,
    sort_by: str | None,
) -> None:
    where = (f"az://cluster-{uuid.uuid4().hex}/x", azurite.connection_string) if place == "azure" else (None, None)
    spread = spread_on(cluster, *where, large, min_task_bytes=10_000_000)
    plan = large.plan(spread.exporter, "csv", sort_by=sort_by)
    tasks = 1 + sum(range_.bytes for range_ in plan.scan_ranges) // 10_000_000
    assert len(spread.check(plan)) > (tasks + 1) * 8 * 1024 * 1024, "no task staged more than one block"


@pytest.mark.parametrize("place", ["directory", "azure"])
def test_a_file_above_the_limit_is_the_same_and_has_a_checksum_instead_of_a_hash(
    cluster: RayCluster, spread_on: Callable[..., Spread], azurite: Azurite, place: str
) -> None:
    where = (f"az://cluster-{uuid.uuid4().hex}/x", azurite.connection_string) if place == "azure" else (None, None)
    spread = spread_on(cluster, *where, max_hashed_bytes=100_000)
    for format_name, name in (("csv", "all"), ("json", "sorted"), ("parquet", "sorted")):
        plan = spread.engine.plan(spread.exporter, format_name, **REQUESTS[name])
        assert len(spread.check(plan, hashed=False)) > 100_000


class Steps(Progress):
    """Progress that records its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def add_rows(self, rows: int) -> None:
        super().add_rows(rows)
        self.steps.append(rows)


@pytest.mark.parametrize("sort_by", [None, "text"])
def test_progress_counts_every_row_once(
    cluster: RayCluster, spread_on: Callable[..., Spread], sort_by: str | None
) -> None:
    spread, progress = spread_on(cluster), Steps()
    ids = [f"{n:012}" for n in range(0, 60_000, 3)]
    made = spread.exporter.export(
        spread.engine.plan(spread.exporter, "csv", row_ids=ids, sort_by=sort_by), CancelToken(), progress
    )
    assert (progress.rows, progress.bytes) == (made.rows, made.size)
    assert len([rows for rows in progress.steps if rows]) >= 3, (
        "progress is reported while tasks end, and not all at once"
    )


@pytest.mark.parametrize("format_name", FORMATS)
def test_generated_requests_on_generated_runs_give_the_same_bytes(
    cluster: RayCluster,
    spread_on: Callable[..., Spread],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    format_name: str,
) -> None:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL.replace("2048", "7"))
    spread, numbers = spread_on(cluster, min_task_bytes=1), itertools.count()
    sorted_exports: list[bool] = []

    def property_(chance: Random) -> int:
        data, run = dataset(chance), f"{format_name}-{next(numbers)}"
        data.publish(engine, run)
        try:
            plan = spread.exporter.plan(request_for(chance, data, format_name).request(run), TEAM)
        except InvalidRequest:
            return 1
        if len(plan.scan_ranges) > 1 and not plan.copies_row_groups:
            # Each range is a task.
            sorted_exports.append(plan.sort is not None)
        spread.check(plan)
        return 1

    Cases(f"ray-{format_name}", 0.01).explore(property_, per_example=1)
    assert set(sorted_exports) == {False, True}, "both sorted and unsorted exports have to run on the cluster"


def test_the_logs_of_the_cluster_contain_no_secrets(
    cluster: RayCluster, spread_on: Callable[..., Spread], azurite: Azurite
) -> None:
    spread = spread_on(cluster, f"az://cluster-{uuid.uuid4().hex}/x", azurite.connection_string)
    spread.check(spread.engine.plan(spread.exporter, "csv"))
    files = [path for path in cluster.logs.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    secret = [KEY.encode(), cluster.access["RAY_AUTH_TOKEN"].encode()]
    assert [path.name for path in files if any(one in path.read_bytes() for one in secret)] == []
