"""`/readyz` while the stores in Azure do not answer, and after they have come back."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.azurite import Azurite
from tests.helpers.fault_proxy import ANY, Fault, FaultProxy
from tests.helpers.server import Server

pytestmark = pytest.mark.azurite

_ANSWER_SECONDS = 15
"""Half of what the client of Azure takes to give up. Most of it is for a busy machine: 3 are promised."""
_RECOVERY_SECONDS = 120


def probe(server: Server) -> tuple[int, dict[str, str]]:
    """The status and the body of ``/readyz``. Raises TimeoutError."""
    try:
        with urllib.request.urlopen(f"{server.base}/readyz", timeout=_ANSWER_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_stores_that_never_answer_are_reported_within_seconds(azurite: Azurite, tmp_path: Path) -> None:
    location = f"az://readiness-{abs(hash(str(tmp_path))):x}"
    with FaultProxy(azurite.port) as proxy:
        settings = {"AZURE_STORAGE_CONNECTION_STRING": proxy.connection_string}
        with Server((location, settings), tmp_path) as server:
            assert probe(server)[0] == 200
            for fault in (Fault(ANY, "hole"), Fault(ANY, "reset")):
                proxy.inject(fault)
                # More than the checks of one store that may run at the same time.
                for _ in range(6):
                    assert probe(server) == (503, {"results": "unavailable", "exports": "unavailable", "duckdb": "ok"})
                proxy.inject(None)
                deadline = time.monotonic() + _RECOVERY_SECONDS
                while probe(server)[0] != 200:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
