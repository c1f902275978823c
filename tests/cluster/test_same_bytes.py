"""On two nodes every byte is the one that a single process writes."""

import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine import publisher
from engine.cancel import CancelToken
from engine.errors import InvalidRequest
from engine.progress import Progress
from tests.helpers.azurite import KEY, Azurite
from tests.helpers.engine import TEAM, Engine, entry
from tests.helpers.ray_cluster import RayCluster
from tests.helpers.spread import SMALL, Spread, staged
from tests.property.cases import Cases
from tests.property.datasets import dataset
from tests.property.requests import request_for

REQUESTS: dict[str, dict[str, Any]] = {
    "all": {"include_row_ids": True},
    "filtered": {"filters": [entry("n", "GREATER_THAN", 40_000)]},
    "sorted": {"sort_by": "text", "descending": True},
    "sorted with ties": {"sort_by": "few", "filters": [entry("text", "CONTAINS", "a")]},
}


@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
@pytest.mark.parametrize("name", REQUESTS)
def test_into_a_directory(
    cluster: RayCluster, spread_on: Callable[..., Spread], tmp_path: Path, name: str, format_name: str
) -> None:
    spread = spread_on(cluster)
    spread.check(spread.engine.plan(spread.exporter, format_name, **REQUESTS[name]))
    assert staged(tmp_path / "exports") == []


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["all", "sorted"])
def test_into_azure_with_the_credentials_of_the_nodes(
    cluster: RayCluster, spread_on: Callable[..., Spread], azurite: Azurite, name: str, format_name: str
) -> None:
    spread = spread_on(cluster, f"az://cluster-{uuid.uuid4().hex}/x", azurite.connection_string)
    spread.check(spread.engine.plan(spread.exporter, format_name, **REQUESTS[name]))


def test_progress_counts_every_row_once(cluster: RayCluster, spread_on: Callable[..., Spread]) -> None:
    spread, progress = spread_on(cluster), Progress()
    plan = spread.engine.plan(spread.exporter, "csv", row_ids=[f"{n:012}" for n in range(0, 60_000, 3)])
    made = spread.exporter.export(plan, CancelToken(), progress)
    assert (progress.rows, progress.bytes) == (made.rows, made.size)


@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_generated_runs(
    cluster: RayCluster,
    spread_on: Callable[..., Spread],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    format_name: str,
) -> None:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL.replace("2048", "7"))
    spread, numbers, spreads = spread_on(cluster), itertools.count(), 0

    def property_(chance: Random) -> int:
        nonlocal spreads
        data, run = dataset(chance), f"{format_name}-{next(numbers)}"
        data.publish(engine, run)
        try:
            plan = spread.exporter.plan(request_for(chance, data, format_name).request(run), TEAM)
        except InvalidRequest:
            return 1
        spreads += len(plan.scan) > 1
        spread.check(plan)
        return 1

    Cases(f"ray-{format_name}", 0.005).explore(property_, per_example=1)
    assert spreads > 0


def test_no_log_of_the_cluster_has_a_key(cluster: RayCluster) -> None:
    files = [path for path in cluster.logs.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    secret = [KEY.encode(), cluster.access["RAY_AUTH_TOKEN"].encode()]
    assert [path.name for path in files if any(one in path.read_bytes() for one in secret)] == []
