"""Two services on the same store with a large run, and the invariants that hold after every fault."""

import hashlib
import json
import signal
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.catalog.catalog import ResultStore
from engine.exports.sweep import Sweeper
from engine.stores import open_store
from tests.helpers.altered import AlteredServer
from tests.helpers.server import KEY, Answer, Asked, Server

ROWS = 25_000
"""The CSV has three blocks of an `AlteredServer`."""
LARGE = 400_000
"""The CSV does not fit into the buffer of a socket."""
WORKFLOW = "numbers"
PATH = f"/v4/workflows/{WORKFLOW}/data/export"


def text_of(number: int) -> str:
    """The text of row ``number``."""
    return f"row {number} of the run"


def above(number: int) -> dict[str, str]:
    """The query parameters for the rows after ``number``."""
    return {"filters": json.dumps([{"field": "n", "operator": "GREATER_THAN", "value": number}])}


def csv_above(number: int, rows: int = ROWS) -> bytes:
    """The expected CSV of the rows after ``number``."""
    return ('n,"text"\n' + "".join(f"{n},{text_of(n)}\n" for n in range(number + 1, rows))).encode()


class Deployment:
    """A service, which tests stop or kill, and another replica on the same store."""

    def __init__(self, store_url: tuple[str, dict[str, str]], folder: Path, rows: int = ROWS) -> None:
        self.folder = folder
        self.rows = rows
        (folder / "other").mkdir()
        self.server = AlteredServer(store_url, folder, TAILRACE_MAX_CONCURRENT_EXPORTS="1")
        self.other = AlteredServer(store_url, folder / "other")
        location, environment = store_url
        connection_string = environment.get("AZURE_STORAGE_CONNECTION_STRING")
        self.exports = open_store(f"{location}/exports", connection_string=connection_string)
        self._results = ResultStore(open_store(f"{location}/results", connection_string=connection_string))
        self._root = None if "://" in location else Path(location)
        self._numbers = iter(range(rows))
        source = folder / "numbers.parquet"
        pq.write_table(pa.table({"n": pa.array(range(rows)), "text": [text_of(n) for n in range(rows)]}), source)
        self.server.publish("--workflow", WORKFLOW, "--run", "r", str(source))

    @property
    def local(self) -> bool:
        """Whether the store is a directory."""
        return self._root is not None

    def fresh(self) -> int:
        """A number whose export has not been requested yet."""
        return next(self._numbers)

    def ask(self, number: int, server: Server | None = None) -> Asked:
        """Request the export of the rows after ``number`` in a thread."""
        return Asked(lambda: (server or self.server).export(WORKFLOW, **above(number)))

    def restart(self, **settings: str) -> None:
        """Stop the service if it is running, and start it with these settings."""
        self.server.stop(signal.SIGTERM)
        self.server.environment.update(settings)
        self.server.start()

    def gauge(self, name: str) -> float:
        """The value of a gauge in /metrics."""
        lines = self.server.request("/metrics").body.decode().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])

    def wait_for(self, name: str, value: float) -> None:
        """Wait until a gauge in /metrics has that value."""
        deadline = time.monotonic() + 30
        while self.gauge(name) != value:
            if time.monotonic() > deadline:
                raise TimeoutError(name)
            time.sleep(0.01)

    def visible(self) -> dict[str, str]:
        """The hash of every visible export, by key."""
        files = [info.key for info in self.exports.list("") if not info.key.endswith(".json")]
        return {key: hashlib.sha256(self.exports.read(key)).hexdigest() for key in files}

    def leftovers(self) -> list[Path]:
        """The content of the staging and spill directories."""
        folders = [self.folder / "spill", self.folder / "other" / "spill"]
        folders += [self._root / store / ".staging" for store in ("exports", "results")] if self._root else []
        return [path for folder in folders for path in folder.glob("*")]

    def sweep(self, now: datetime) -> Mapping[str, int]:
        """Sweep as if it were that time; returns the number of removed objects by kind."""
        return Sweeper(self._results, self.exports, self.folder / "spill", now=now).sweep().removed

    def check_answer(self, answer: Answer, number: int) -> None:
        """Check the answer and its file, whichever replica has given it."""
        assert answer.status == 200, answer.body
        made: dict[str, Any] = answer.json()
        wanted = csv_above(number, self.rows)
        assert (made["rowCount"], made["sha256"]) == (self.rows - 1 - number, hashlib.sha256(wanted).hexdigest())
        assert self.server.request(made["url"]).body == wanted

    def check_next(self, number: int) -> None:
        """Request the same export once more and check it; then remove all exports."""
        self.check_answer(self.ask(number).answer(), number)
        for key in self.visible():
            self.exports.delete(key)

    def remove(self, export_id: str) -> None:
        """Remove the file of an export."""
        assert self.exports.delete(f"{WORKFLOW}/{export_id}.csv")

    def stored_status(self, export_id: str) -> dict[str, Any]:
        """The status document of an asynchronous export."""
        status: dict[str, Any] = json.loads(self.exports.read(f"{WORKFLOW}/{export_id}.ticket.json"))
        return status

    def status(self, url: str, method: str = "GET") -> Answer:
        """Request the status of an asynchronous export."""
        return self.server.request(url, method, {"x-api-key": KEY})
