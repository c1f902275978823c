"""A service whose exports run on a cluster, as its clients see it."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.helpers.engine import Engine
from tests.helpers.ray_cluster import RayCluster, drivers_of
from tests.helpers.running import wait_for
from tests.helpers.server import Server

REQUESTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"format": "csv"}, {}),
    ({"format": "parquet", "sortBy": "text", "order": "desc"}, {"sort_by": "text", "descending": True}),
    ({"format": "parquet"}, {}),
]


def test_a_service_on_a_cluster_delivers_the_same_files_and_ends_its_driver(
    cluster: RayCluster, large: Engine, tmp_path: Path
) -> None:
    settings = {
        "TAILRACE_RESULTS": str(large.folder / "store"),
        "TAILRACE_RUNNER": "ray",
        "TAILRACE_RUNNER_MIN_BYTES": "0",
        "RAY_ADDRESS": cluster.address,
        **cluster.access,
    }
    with Server((str(tmp_path), {}), tmp_path, **settings) as server:
        assert drivers_of(server.pid) == [], "no export has needed a driver yet"
        for parameters, request in REQUESTS:
            answer = server.export("w", **parameters)
            assert answer.status == 200, answer.body
            content = server.request(answer.json()["url"]).body
            assert content == large.export_bytes(parameters["format"], **request)
            assert answer.json()["sha256"] == sha256(content).hexdigest()
        (driver,) = drivers_of(server.pid)
    wait_for(lambda: not Path(f"/proc/{driver}").exists())


def test_an_unreachable_cluster_is_an_error_and_small_exports_still_work(large: Engine, tmp_path: Path) -> None:
    settings = {
        "TAILRACE_RESULTS": str(large.folder / "store"),
        "TAILRACE_RUNNER": "ray",
        "TAILRACE_RUNNER_MIN_BYTES": "5000000",
        "RAY_ADDRESS": "127.0.0.2:9",
    }
    few = [{"field": "n", "operator": "LESS_THAN", "value": 100_000}]
    with Server((str(tmp_path), {}), tmp_path, **settings) as server:
        answer = server.export("w", format="csv")
        small = server.export("w", format="csv", filters=few)
    assert (answer.status, answer.json()["code"]) == (503, "cluster_unavailable")
    assert (small.status, small.json()["rowCount"]) == (200, 100_000)
