"""The running service for the goals that are about HTTP, and a client that waits as long as it takes."""

import http.client
import json
import time
import urllib.parse
from typing import Any

from tests.bench.bench import SCRATCH
from tests.bench.data import RESULTS
from tests.bench.emulator import CONTAINER, Emulator
from tests.helpers.server import KEY, Server

_PATIENCE_SECONDS = 1800


class Service(Server):
    """``tailrace serve`` with the published runs on this disk and the exports in the emulator."""

    def __init__(self, emulator: Emulator) -> None:
        SCRATCH.mkdir(parents=True, exist_ok=True)
        azure = {"AZURE_STORAGE_CONNECTION_STRING": emulator.connection_string}
        super().__init__((f"az://{CONTAINER}", azure), SCRATCH, TAILRACE_RESULTS=str(RESULTS))

    @property
    def pid(self) -> int:
        """Its process."""
        if self._process is None:
            raise RuntimeError("the service does not run")
        return self._process.pid


class Client:
    """One connection to the service, kept open between requests."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=_PATIENCE_SECONDS)

    def export(self, workflow: str, **parameters: object) -> tuple[float, dict[str, Any]]:
        """Ask for an export; returns the seconds until the answer was there, and the answer."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        path = f"/v4/workflows/{workflow}/data/export?{urllib.parse.urlencode(texts)}"
        started = time.perf_counter()
        self._connection.request("GET", path, headers={"x-api-key": KEY})
        response = self._connection.getresponse()
        body = response.read()
        took = time.perf_counter() - started
        if response.status != 200:
            raise RuntimeError(f"the service answered {response.status}: {body[:200]!r}")
        answer: dict[str, Any] = json.loads(body)
        return took, answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
