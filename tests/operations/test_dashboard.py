"""The dashboard asks for what a running service exposes, and a real Prometheus answers each of its queries."""

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.azurite import free_port
from tests.helpers.deployed import CONTAINER
from tests.helpers.server import Server

DASHBOARD = json.loads((CONTAINER / "grafana.json").read_text("utf-8"))
_SECONDS = 120


def _queries() -> list[str]:
    """The queries of all panels and variables, with Grafana's variables filled in."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in panels]


def _metrics(query: str) -> set[str]:
    return set(re.findall(r"\b(?:tailrace|process|python)_\w+", query))


@dataclass(frozen=True)
class Watched:
    """A service and a Prometheus that scrapes it every second."""

    server: Server
    address: str

    def samples(self) -> set[str]:
        """The names of the metrics that have a sample."""
        text = self.server.request("/metrics").body.decode()
        return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}

    def query(self, text: str) -> list[Any]:
        """The result of a query; a query that is wrong raises HTTPError."""
        url = f"{self.address}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            result: list[Any] = json.loads(answer.read())["data"]["result"]
            return result


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus: install Debian's package prometheus")
    folder, port = tmp_path_factory.mktemp("watched"), free_port()
    with Server((str(folder / "store"), {}), folder) as server:
        (folder / "rows.csv").write_text("n\n1\n2\n")
        server.publish("--workflow", "w", "--run", "r", str(folder / "rows.csv"))
        server.download("w")
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n"
            f"  - {{job_name: tailrace, static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]}}\n"
        )
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with (folder / "prometheus.log").open("wb") as log:
            process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
        try:
            yield _scraped(Watched(server, f"http://127.0.0.1:{port}"), process, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_SECONDS)


def _scraped(watched: Watched, process: "subprocess.Popen[bytes]", folder: Path) -> Watched:
    """Wait until two samples of a counter are there, as ``rate`` needs."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            if watched.query("rate(tailrace_requests_total[1m])"):
                return watched
        time.sleep(0.2)
    raise TimeoutError((folder / "prometheus.log").read_text())


def test_every_query_is_answered(watched: Watched) -> None:
    there = watched.samples()
    queries = _queries()
    empty = []
    for query in queries:
        assert _metrics(query), query
        # A counter without an event has no sample, and its panel no line.
        if watched.query(query) == [] and _metrics(query) <= there:
            empty.append(query)
    assert empty == []
    assert sum(_metrics(query) <= there for query in queries) > len(queries) / 2


def test_every_metric_of_a_query_is_exposed(watched: Watched) -> None:
    text = watched.server.request("/metrics").body.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    exposed = {*kinds}
    for name, kind in kinds.items():
        if kind in ("histogram", "summary"):
            exposed |= {f"{name}_{part}" for part in ("bucket", "count", "sum")}
    for query in _queries():
        assert _metrics(query) <= exposed, query
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            assert _metrics(variable["query"]["query"]) <= exposed


def test_panels_do_not_overlap_and_have_an_id_of_their_own() -> None:
    cells: set[tuple[int, int]] = set()
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        covered = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                   for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not covered & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= covered
