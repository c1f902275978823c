"""The real service as a process of its own, over a real socket."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.azurite import free_port
from tests.helpers.environment import SWITCHES
from tests.helpers.forks import FORKING, TAILRACE, Forked, run, start

KEY = "test-key-of-acme"
OTHER_KEY = "test-key-of-rival"
PUBLISH_KEY = "publishing-key-of-acme"
OTHER_PUBLISH_KEY = "publishing-key-of-rival"
TEAM = "acme"
SIGNING_SECRET = "a-secret-of-the-tests-0123456789abcdef"
# Bounds of what hangs, not of what is slow: other work may take the machine's cores meanwhile.
_START_SECONDS = 120
_STOP_SECONDS = 80
"""Four times the default grace that running exports get on SIGTERM."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Server:
    """``tailrace serve`` on a free port, with results and exports below one store location."""

    program = TAILRACE
    """What runs as ``tailrace``."""
    forking = FORKING
    """What starts it."""

    def __init__(self, store_url: tuple[str, dict[str, str]], folder: Path, **settings: str) -> None:
        location, extra = store_url
        self.folder = folder
        self.log = folder / "server.log"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in SWITCHES},
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **extra,
            "TAILRACE_RESULTS": f"{location}/results",
            "TAILRACE_EXPORTS": f"{location}/exports",
            "TAILRACE_SPILL_DIRECTORY": str(folder / "spill"),
            "TAILRACE_API_KEYS": f"{KEY}={TEAM},{OTHER_KEY}=rival,"
            f"{PUBLISH_KEY}={TEAM}:publish,{OTHER_PUBLISH_KEY}=rival:publish",
            "TAILRACE_SIGNING_KEYS": f"k1={SIGNING_SECRET}",
            "TAILRACE_PORT": str(self.port),
            # Most tests have no load balancer that would have to notice a stop.
            "TAILRACE_DRAIN_SECONDS": "0",
            # Most tests look at what is left when nobody waits any more.
            "TAILRACE_ABANDONED_SECONDS": "0",
            **settings,
        }
        self._process: Forked | subprocess.Popen[bytes] | None = None
        self._initialised = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The process that serves now."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it answers; new stores get their markers before."""
        self.initialise()
        with self.log.open("ab") as log:
            self._process = self.launch(log)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended while it started: {self.log.read_text()}")
            try:
                if self.request("/healthz").status == 200:
                    return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        raise TimeoutError("the server did not answer")

    def launch(self, log: IO[bytes]) -> "Forked | subprocess.Popen[bytes]":
        """Start the process, whose log goes to that file."""
        return start(["serve"], self.environment, self.folder, program=self.program, stderr=log, forking=self.forking)

    def initialise(self) -> None:
        """Write the markers of new stores, once."""
        if not self._initialised:
            done = run(("init",), self.environment, self.folder, program=TAILRACE)
            assert done.returncode == 0, done.stderr
            self._initialised = True

    def stop(self, number: signal.Signals) -> None:
        """End the process by a signal and wait for it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a ``tailrace`` command with the server's settings, in another process; new stores are marked before."""
        self.initialise()
        return run(arguments, self.environment, self.folder, program=self.program, forking=self.forking)

    def publish(self, *arguments: str, team: str = TEAM) -> None:
        """Publish with ``tailrace publish``, for the team of `KEY` unless told otherwise."""
        done = self.command("publish", "--team", team, *arguments)
        assert done.returncode == 0, done.stderr

    def logged(self) -> list[dict[str, Any]]:
        """The log's lines so far, but one of which only half is there: a write over a page's end is seen in two."""
        whole, _, _ = self.log.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def request(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request to a path or a URL; no status is an error."""
        url = path if path.startswith("http") else self.base + path
        request = urllib.request.Request(url, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        families = text_string_to_metric_families(self.request("/metrics").body.decode())
        samples = (sample for family in families for sample in family.samples)
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    def export(self, workflow: str, key: str = KEY, **parameters: object) -> Answer:
        """GET the export endpoint; values that are no strings go as JSON."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        query = urllib.parse.urlencode(texts)
        return self.request(f"/v4/workflows/{workflow}/data/export?{query}", headers={"x-api-key": key})

    def download(self, workflow: str, **parameters: object) -> bytes:
        """Export, and open the signed URL without any header."""
        answer = self.export(workflow, KEY, **parameters)
        assert answer.status == 200, answer.body
        file = self.request(answer.json()["url"])
        assert file.status == 200, file.body
        return file.body


class Asked:
    """A request that is on its way in a thread of its own."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._came: list[Answer | OSError] = []
        self._thread = threading.Thread(target=self._run, args=(ask,))
        self._thread.start()

    @property
    def answered(self) -> bool:
        """Whether it is over."""
        return not self._thread.is_alive()

    def outcome(self) -> Answer | OSError:
        """The answer, or how the connection broke, once it is there."""
        self._thread.join()
        (came,) = self._came
        return came

    def answer(self) -> Answer:
        """The answer, once it is there."""
        came = self.outcome()
        assert isinstance(came, Answer), came
        return came

    def _run(self, ask: Callable[[], Answer]) -> None:
        try:
            self._came.append(ask())
        except OSError as error:
            self._came.append(error)
