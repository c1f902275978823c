"""A plugin, ``-p tests.helpers.on_cluster``: services that tests start run their exports on a cluster of two nodes.

Their runs and exports are cut fine, so that small ones are many tasks, too.
"""

import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.helpers.azurite import Azurite
from tests.helpers.ray_cluster import RayCluster, drivers_of
from tests.helpers.server import Server
from tests.helpers.spread import SMALL

_RANGE_BYTES = 30_000
_TASK_BYTES = 100_000


@pytest.fixture(scope="session")
def cluster_settings(azurite: Azurite) -> Iterator[dict[str, str]]:
    """What a service has in its environment that has a cluster, whatever the size of the export."""
    with RayCluster(environment={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}) as cluster:
        runner = {"TAILRACE_RUNNER": "ray", "TAILRACE_RUNNER_MIN_BYTES": "0", "RAY_ADDRESS": cluster.address}
        yield runner | cluster.access


@pytest.fixture(scope="module", autouse=True)
def _services_on_a_cluster(cluster_settings: dict[str, str]) -> Iterator[None]:
    """And it is no service of its own that has made all of a module's exports."""
    drivers: list[int] = []
    stop = Server.stop

    def stopped(server: Server, number: signal.Signals) -> None:
        with suppress(RuntimeError):
            drivers.extend(drivers_of(server.pid))
        stop(server, number)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster_settings.items():
            patch.setenv(name, value)
        patch.setattr(Server, "program", "from tests.helpers.on_cluster import main; main()")
        patch.setattr(Server, "stop", stopped)
        yield
    assert drivers, "no export was worth a cluster"


def main() -> None:
    """The command line, whose runs have many row groups, and whose exports have many tasks."""
    from engine.exports.exporter import Exporter
    from engine.plan import planner
    from engine.publishing import publisher
    from engine.runners.ray.client import RayClientRunner
    from web.cli import main as command

    publisher._COPY_OPTIONS = SMALL.replace("2048", "512").replace("PER_FILE 3", "PER_FILE 100")
    planner.PARQUET_RANGE_BYTES = _RANGE_BYTES
    for made, changed in (
        (Exporter.__init__, {"range_bytes": _RANGE_BYTES}),
        (RayClientRunner.__init__, {"min_task_bytes": _TASK_BYTES}),
    ):
        made.__kwdefaults__ = {**(made.__kwdefaults__ or {}), **changed}
    command()
