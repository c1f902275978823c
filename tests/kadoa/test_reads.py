"""Clients of the public API read real results here unchanged: `reads` is the table of calls, requests and results."""

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.operator_oracle import matching_rows, sorted_rows
from tests.helpers.server import KEY, OTHER_KEY, Server
from tests.helpers.shared import DATA, missing
from tests.kadoa.reads import COUNT, FILTERS, NODE, NOT_HERE, NOT_READS, PYTHON, Read, Rows

JOBS = DATA / "quant_jobs.json"
INTERPRETER = Path(__file__).parents[2] / ".venv-kadoa/bin/python"
CLIENT = Path(__file__).with_name("python_client.py")

pytestmark = pytest.mark.skipif(not JOBS.exists(), reason=missing(JOBS))
needs_sdk = pytest.mark.skipif(not INTERPRETER.exists(), reason="the Kadoa SDK is missing: make .venv-kadoa/installed")


@pytest.fixture(scope="module")
def jobs() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(JOBS.read_text("utf-8"))
    assert len(rows) == COUNT
    return rows


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("kadoa")
    with Server((str(folder / "store"), {}), folder) as running:
        # An earlier run, in which one row was another and two were not there.
        first, *others = json.loads(JOBS.read_text("utf-8"))[:-2]
        earlier = folder / "earlier.json"
        earlier.write_text(json.dumps([first | {"jobTitle": "Another title"}, *others]))
        for run, source in (("r0", earlier), ("r1", JOBS)):
            running.publish("--workflow", "jobs", "--run", run, "--row-id", "id", str(source))
        yield running


def call(server: Server, calls: list[tuple[str, dict[str, Any]]], key: str = KEY) -> list[dict[str, Any]]:
    """Call methods of the SDK, in one process."""
    done = subprocess.run(
        [INTERPRETER, CLIENT, server.base, key],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_PROXY": "*"},
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def called(server: Server) -> list[dict[str, Any]]:
    return call(server, [(read.method, read.arguments) for read in PYTHON])


@needs_sdk
@pytest.mark.parametrize("number", range(len(PYTHON)), ids=[read.method for read in PYTHON])
def test_the_python_sdk_reads_what_was_published(
    called: list[dict[str, Any]], jobs: list[dict[str, Any]], number: int
) -> None:
    read, found = PYTHON[number], called[number]
    assert "error" not in found, found["error"]
    assert tuple(found["requests"]) == read.requests
    check(found["result"], read.result, jobs)


@needs_sdk
def test_every_read_method_is_in_the_table(server: Server) -> None:
    (found,) = call(server, [("methods", {})])
    assert set(found["result"]) - NOT_READS - NOT_HERE == {read.method for read in PYTHON}


@needs_sdk
def test_another_team_reads_nothing_by_the_python_sdk(server: Server) -> None:
    calls = [(read.method, read.arguments) for read in PYTHON if "jobs" in str(read.arguments)]
    answers = call(server, calls, OTHER_KEY)
    results = {json.dumps(answer.get("result")) for answer in answers}
    assert results == {"null"}, "found nothing, or an error"


@pytest.mark.parametrize("read", NODE, ids=[read.method for read in NODE])
def test_requests_of_the_node_sdk_are_answered(server: Server, jobs: list[dict[str, Any]], read: Read) -> None:
    for request in read.requests:
        answer = server.request(request.removeprefix("GET "), headers={"x-api-key": KEY})
        assert answer.status == 200, answer.body
        packed = answer.headers.get("content-encoding") == "gzip"
        check(json.loads(gzip.decompress(answer.body) if packed else answer.body), read.result, jobs)


def check(found: Any, expected: Any, jobs: list[dict[str, Any]]) -> None:
    """Check that a result has what is expected."""
    match expected:
        case Rows(start, stop, filtered_and_sorted):
            rows = jobs
            if filtered_and_sorted:
                kept = matching_rows(jobs, json.loads(FILTERS), datetime.now(UTC))
                rows = sorted_rows(kept, "jobTitle", descending=True)
            assert found == rows[start:stop]
        case dict():
            assert expected.keys() <= found.keys()
            for name, value in expected.items():
                check(found[name], value, jobs)
        case list():
            assert len(found) == len(expected)
            for one, value in zip(found, expected, strict=True):
                check(one, value, jobs)
        case _ if expected is ...:
            assert found is not None
        case _:
            assert found == expected
