"""The first SQL statement after a start has all of its time, however long what forks its process takes to be ready."""

import json
from pathlib import Path

from tests.helpers.server import KEY, Server
from tests.web.conftest import ROWS, publish_people


class SlowToPrepare(Server):
    """What forks statements is ready 11 s late."""

    program = """
import time
from engine.query.sandbox.fork_server import ForkServer
from web.cli import main

ready = ForkServer.wait_until_ready

def late(forks):
    if not forks.alive:
        time.sleep(11)
    ready(forks)

ForkServer.wait_until_ready = late
main()
"""


def test_it_has_all_of_its_time(tmp_path: Path) -> None:
    with SlowToPrepare((str(tmp_path / "store"), {}), tmp_path, TAILRACE_QUERY_TIMEOUT_SECONDS="10") as server:
        publish_people(server, tmp_path)
        body = json.dumps({"sql": "SELECT count(*) AS n FROM data"}).encode()
        answer = server.request("/v4/workflows/people/data/query", "POST", {"x-api-key": KEY}, body)
    assert (answer.status, answer.json()["rows"]) == (200, [{"n": len(ROWS)}])
