"""The running service for the goals that are about HTTP, and a client that waits as long as it takes."""

import http.client
import json
import shutil
import sys
import time
import urllib.parse
from typing import Any

from engine.settings import AzureChecksum
from tests.bench.data import RESULTS
from tests.bench.ideal import CONTAINER
from tests.bench.process import run_measured
from tests.bench.settings import FOLDER
from tests.helpers.server import KEY, Server

_PATIENCE_SECONDS = 1800


class Service(Server):
    """``tailrace serve`` with runs on this disk, and exports in a store or, without one, in a directory.

    Blocks are checked as in Azure, by CRC-64; the emulator would be the bottleneck then.
    """

    def __init__(
        self, connection_string: str = "", *, results: str = str(RESULTS), checksum: AzureChecksum = "crc64"
    ) -> None:
        # Not the scratch folder, which is emptied after each measurement.
        folder = FOLDER / "service"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        azure = {"AZURE_STORAGE_CONNECTION_STRING": connection_string, "TAILRACE_AZURE_CHECKSUM": checksum}
        location = f"az://{CONTAINER}" if connection_string else str(folder)
        super().__init__((location, azure), folder, TAILRACE_RESULTS=results)

    def load(self, paths: list[str], clients: int) -> tuple[float, list[float]]:
        """Request each path once, by so many clients: seconds in all, and of each request. Raises RuntimeError."""
        file = self.folder / "paths.json"
        file.write_text(json.dumps(paths), encoding="utf-8")
        command = [sys.executable, "-m", "tests.bench.clients", str(self.port), str(file), KEY, str(clients)]
        sample = run_measured(command)
        if sample.error or sample.printed is None:
            raise RuntimeError(f"the clients failed: {sample.error}")
        times: Any = sample.printed["times"]
        return sample.work, times


def export_path(workflow: str, **parameters: object) -> str:
    """The path of an export; values that are no text go as JSON."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return f"/v4/workflows/{workflow}/data/export?{urllib.parse.urlencode(texts)}"


class Client:
    """One connection to the service, kept open between requests."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=_PATIENCE_SECONDS)

    def export(self, workflow: str, **parameters: object) -> tuple[float, dict[str, Any]]:
        """Request an export: the seconds until the answer was there, and the answer."""
        return self.get(export_path(workflow, **parameters))

    def get(self, path: str) -> tuple[float, dict[str, Any]]:
        """The seconds until the answer was there, and the answer. Raises RuntimeError unless it is a 200."""
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
