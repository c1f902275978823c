"""What makes every service of these tests one that has a cluster."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import numbers
from tests.helpers.ray_cluster import RayCluster

__all__ = ["numbers"]


def _settings(cluster: RayCluster) -> dict[str, str]:
    # No export is too small.
    runner = {"TAILRACE_RUNNER": "ray", "TAILRACE_RUNNER_MIN_BYTES": "0", "RAY_ADDRESS": cluster.address}
    return runner | cluster.access


@pytest.fixture(scope="module", autouse=True)
def _services_of_modules(cluster: RayCluster) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _settings(cluster).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True)
def _services_of_tests(_clean_environment: None, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _settings(cluster).items():
        monkeypatch.setenv(name, value)
