"""Two services on one store, a line to it that can be disturbed, and what they said and did so far."""

import hashlib
import http.client
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from engine.catalog.catalog import ResultStore
from engine.exports.sweep import Sweeper, SweepResult
from engine.publishing.publisher import Publication, Publisher
from engine.settings import DuckDBSettings
from engine.stores import open_store
from tests.helpers.fault_proxy import FaultProxy
from tests.helpers.files import Row
from tests.helpers.server import KEY, TEAM, Answer, Server
from tests.random.oracle import Promise, Request, rows_of

TTL_SECONDS = 20
MARGIN_SECONDS = 4.0
"""Nothing is said of a URL this near to its end."""
WORKFLOWS = ("w0", "w1", "w2")


class SmallBlocks(Server):
    """The service, but for blocks so small that most files are several."""

    program = (
        "from engine.stores import block_stream; block_stream.BLOCK_TIERS = ((50_000, 131_072),) * 4; "
        "from web.cli import main; main()"
    )


class World:
    """All that the operations work with. Safe to use from many threads."""

    def __init__(self, location: str, folder: Path, connection_string: str | None, proxy: FaultProxy | None) -> None:
        self.folder = folder
        self.proxy = proxy
        disturbed = proxy.connection_string if proxy else None
        environment = {"AZURE_STORAGE_CONNECTION_STRING": disturbed} if disturbed else {}
        for name in "ab":
            (folder / name).mkdir()
        settings = {
            "TAILRACE_URL_TTL_SECONDS": str(TTL_SECONDS),
            "TAILRACE_EXPORT_QUEUE_SIZE": "4",
            "TAILRACE_THREADS": "2",
            "TAILRACE_MEMORY_LIMIT": "300MB",
        }
        first = SmallBlocks((location, environment), folder / "a", **settings)
        second = SmallBlocks((location, environment), folder / "b", TAILRACE_BASE_URL=first.base, **settings)
        self.servers = (first, second)
        self.root = None if "://" in location else Path(location)
        # By a good line, to look at what is there.
        self.exports = open_store(f"{location}/exports", connection_string=connection_string)
        self.results = ResultStore(open_store(f"{location}/results", connection_string=connection_string))
        limits = DuckDBSettings(threads=1, memory_limit="300MB", spill_directory=folder / "publish", spill_limit="1GB")
        line = open_store(f"{location}/results", connection_string=disturbed)
        self.publisher = Publisher(ResultStore(line), limits)
        self.stormy = False
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.promises: list[Promise] = []
        self.runs: dict[tuple[str, str], list[Row]] = {}
        self._contents: dict[str, bytes] = {}
        self._made: dict[tuple[str, str, Request], str] = {}
        self._lock = Lock()
        self._kills = Lock()

    def note(self, what: str) -> None:
        """Count what came of an operation."""
        with self._lock:
            self.seen[what] += 1

    def fail(self, what: str) -> None:
        """Something that must not be."""
        with self._lock:
            self.wrong.append(what)

    def request(
        self, server: Server, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer | None:
        """An answer, or None if the connection broke, which it may in a storm alone."""
        try:
            return server.request(path, method, headers)
        except (OSError, http.client.HTTPException) as error:
            if not self.stormy:
                self.fail(f"{method} {path.partition('?')[0]}: {error!r} without a reason")
            self.note("connection broken")
            return None

    def ask(self, server: Server, path: str, prefer: str = "") -> Answer | None:
        """A request with the key."""
        return self.request(server, path, headers={"x-api-key": KEY} | ({"prefer": prefer} if prefer else {}))

    def elsewhere(self, url: str, server: Server) -> str:
        """The same URL at either of the services."""
        return server.base + url.removeprefix(self.servers[0].base)

    def excused(self, answer: Answer | None, name: str) -> bool:
        """Whether there is nothing more to say of it: it broke, it was refused in a storm, or the house was full."""
        if answer is None:
            return True
        if answer.status < 500:
            return False
        code = answer.json()["code"]
        self.note(f"{name}: {answer.status} {code}")
        if answer.status == 503 and int(answer.headers.get("retry-after", "0")) < 1:
            self.fail(f"{name}: 503 without Retry-After")
        if code != "busy" and not self.stormy:
            self.fail(f"{name}: {answer.status} {code} without a reason: {answer.body.decode()}")
        return True

    def publish(self, workflow: str, run: str, count: int) -> None:
        """Publish the rows of that number. Raises EngineError."""
        source = self.folder / f"{workflow}-{run}-{count}.json"
        source.write_text(json.dumps(rows_of(count)))
        try:
            self.publisher.publish(Publication(workflow, run, (source,), team=TEAM))
        finally:
            source.unlink()

    def rows(self, workflow: str, run_id: str) -> list[Row] | None:
        """The rows of a run that is there; how many there are says which they are."""
        key = (workflow, run_id)
        if key not in self.runs:
            run = self.results.run(workflow, run_id)
            if run is None:
                return None
            rows = rows_of(run.rows)
            with self._lock:
                self.runs.setdefault(key, rows)
        return self.runs[key]

    def draw_run(self, chance: random.Random) -> tuple[str, str]:
        """A run that is there."""
        with self._lock:
            return chance.choice(sorted(self.runs))

    def promised(self, body: dict[str, Any], request: Request) -> Promise:
        """Take an answer for what it says: the oracle's rows, and the same bytes for the same request."""
        expires = datetime.fromisoformat(body["expiresAt"]).timestamp()
        promise = Promise.of(body, expires)
        rows = self.rows(body["workflowId"], body["runId"])
        if rows is None:
            self.fail(f"an answer of a run that is not there: {body}")
            return promise
        if body["rowCount"] != len(request.rows(rows)):
            self.fail(f"{body['rowCount']} rows, not {len(request.rows(rows))}: {request}")
        with self._lock:
            self.promises.append(promise)
            before = self._made.setdefault((body["workflowId"], body["runId"], request), promise.sha256)
        if before != promise.sha256:
            self.fail(f"other bytes for the same request: {request}")
        return promise

    def check_content(self, promise: Promise, content: bytes, request: Request | None = None, run: str = "") -> None:
        """The bytes are those that were promised, and, once for each file, the oracle's rows."""
        if hashlib.sha256(content).hexdigest() != promise.sha256 or len(content) != promise.size:
            self.fail(f"other bytes than promised: {promise}")
            return
        with self._lock:
            known = self._contents.setdefault(promise.sha256, content) is not content
        if known or request is None:
            return
        rows = self.rows(promise.workflow, run)
        if rows is None or not request.fits(content, rows):
            self.fail(f"not the rows of the oracle: {request}")

    def content(self, promise: Promise) -> bytes | None:
        """The bytes of a file that was read whole before."""
        return self._contents.get(promise.sha256)

    def sweep(self, after: timedelta = timedelta(0)) -> SweepResult:
        """Sweep as if it were so much later."""
        return Sweeper(self.results, self.exports, self.folder / "spill", now=datetime.now(UTC) + after).sweep()

    def kill(self, server: Server) -> None:
        """Kill a service at once, and start it again."""
        with self._kills:
            server.stop(signal.SIGKILL)
            server.start()
        self.note("killed")

    def calm_down(self) -> None:
        """Wait until nothing disturbs and nothing runs."""
        if self.proxy:
            self.proxy.inject(None)
        for server in self.servers:
            deadline = time.monotonic() + 90
            while b"tailrace_exports_running 0.0" not in server.request("/metrics").body:
                if time.monotonic() > deadline:
                    self.fail("an export runs for ever")
                    break
                time.sleep(0.05)
