"""A statement whose process crashes is the service's fault: answered as one, logged with the signal, and counted."""

import json
import signal
import threading
from pathlib import Path

import pytest

from tests.helpers.server import KEY, Server
from tests.helpers.statements import ENDLESS, end_statement
from tests.web.conftest import publish_people


@pytest.mark.parametrize("path", ["query", "query/export"])
def test_a_crash_is_answered_logged_and_counted(tmp_path: Path, path: str) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path) as server:
        publish_people(server, tmp_path)
        crashing = threading.Thread(target=end_statement, args=[signal.SIGSEGV, server.pid])
        crashing.start()
        body = json.dumps({"sql": ENDLESS}).encode()
        answer = server.request(f"/v4/workflows/people/data/{path}", "POST", {"x-api-key": KEY}, body)
        crashing.join()
        metrics = server.request("/metrics").body.decode()
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert "SIGSEGV" not in answer.body.decode()
    assert 'tailrace_statement_crashes_total{signal="SIGSEGV"} 1.0' in metrics
    logged = [line for line in server.log.read_text().splitlines() if "SIGSEGV" in line]
    assert any(answer.json()["requestId"] in line for line in logged)
