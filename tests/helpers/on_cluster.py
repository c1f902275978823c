"""A plugin, ``-p tests.helpers.on_cluster``: services that tests start run their exports on a cluster of two nodes."""

from collections.abc import Iterator

import pytest

from tests.helpers.azurite import Azurite
from tests.helpers.ray_cluster import RayCluster


@pytest.fixture(scope="session")
def cluster_settings(azurite: Azurite) -> Iterator[dict[str, str]]:
    """What a service has in its environment that has a cluster, whatever the size of the export."""
    with RayCluster(environment={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}) as cluster:
        runner = {"TAILRACE_RUNNER": "ray", "TAILRACE_RUNNER_MIN_BYTES": "0", "RAY_ADDRESS": cluster.address}
        yield runner | cluster.access


@pytest.fixture(scope="module", autouse=True)
def _services_of_modules(cluster_settings: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster_settings.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True)
def _services_of_tests(
    _clean_environment: None, cluster_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster_settings.items():
        monkeypatch.setenv(name, value)
