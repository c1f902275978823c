"""The status of an asynchronous export whose store goes away before it can be written how the export ended."""

import json
import time
from pathlib import Path

import pytest

from engine.exports.status import STALE_SECONDS
from engine.stores import open_store
from tests.faults.deployment import PATH, WORKFLOW
from tests.helpers.altered import READ, AlteredServer
from tests.helpers.azurite import Azurite
from tests.helpers.fault_proxy import ANY, Fault, FaultProxy
from tests.helpers.server import KEY, Server

pytestmark = pytest.mark.azurite

_SECONDS = 120
_UNFINISHED = ("queued", "running")


def wait_for_line(server: Server, export_id: str) -> dict[str, object]:
    """The log line of the export, once it has ended."""
    deadline = time.monotonic() + _SECONDS
    while True:
        for line in server.logged():
            if line["event"] == "export" and line["export_id"] == export_id:
                return line
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_status_has_the_true_reason_once_the_store_is_back(azurite: Azurite, tmp_path: Path) -> None:
    location = f"az://statuses-{abs(hash(str(tmp_path))):x}"
    direct = open_store(f"{location}/exports", connection_string=azurite.connection_string)
    source = tmp_path / "numbers.csv"
    source.write_text("n\n" + "".join(f"{n}\n" for n in range(1000)))
    with FaultProxy(azurite.port) as proxy:
        settings = {"AZURE_STORAGE_CONNECTION_STRING": proxy.connection_string}
        with AlteredServer((location, settings), tmp_path) as server:
            server.publish("--workflow", WORKFLOW, "--run", "r", str(source))
            server.halt_at(READ)
            answer = server.request(PATH, headers={"x-api-key": KEY, "prefer": "respond-async"})
            export_id = answer.headers["location"].split("/")[-2]
            server.wait_until_halted()
            proxy.inject(Fault(ANY, "reset"))
            server.go_on()
            assert wait_for_line(server, export_id)["outcome"] == "store_unavailable"
            key = f"{WORKFLOW}/{export_id}.ticket.json"
            while time.time() - direct.head(key).modified.timestamp() < STALE_SECONDS + 2:  # type: ignore[union-attr]  # it is there
                time.sleep(0.2)
            assert json.loads(direct.read(key))["phase"] in _UNFINISHED
            proxy.inject(None)
            # Whether it has been written again yet or not.
            status = server.request(answer.headers["location"], headers={"x-api-key": KEY})
            assert (status.status, status.json()["phase"], status.json()["code"]) == (
                200,
                "failed",
                "store_unavailable",
            )
            deadline = time.monotonic() + _SECONDS
            while (stored := json.loads(direct.read(key)))["phase"] in _UNFINISHED:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert (stored["phase"], stored["code"]) == ("failed", "store_unavailable")
            assert stored["message"] == status.json()["message"]
