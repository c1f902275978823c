"""A service with shared tables, and the official Python client in an environment of its own."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.helpers.server import KEY, Answer, Server

CLIENT = Path(__file__).parents[2] / ".venv-delta" / "bin" / "python"
ROWS = 300
COLUMNS = {
    "n": "range",
    "big": "CAST(18446744073709551615 - range AS UBIGINT)",
    "id": "CAST(printf('00112233-4455-6677-8899-%012x', range) AS UUID)",
    "at": "TIME '10:00:00' + INTERVAL (range) SECOND",
    "text": "CASE WHEN range % 3 = 0 THEN NULL ELSE 'é ' || range END",
    "price": "CAST(range / 4 AS DECIMAL(12,2))",
    "day": "DATE '2024-01-01' + CAST(range AS INTEGER)",
    "moment": "TIMESTAMPTZ '2024-01-01 12:00:00+00' + INTERVAL (range) SECOND",
    "tags": "['a', NULL]",
    "inner": "{'u': CAST(range % 256 AS UTINYINT), 'deep': {'text': 'x'}}",
}


@dataclass(frozen=True)
class Shared:
    """The service; its team ``acme`` has the share, ``rival`` has another one."""

    server: Server

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        token: str = KEY,
    ) -> Answer:
        """A request below the endpoint, with the token."""
        sent = {"authorization": f"Bearer {token}", **(headers or {})}
        return self.server.request(f"/delta-sharing{path}", method, sent, body)

    def query(self, table: str, token: str = KEY, headers: dict[str, str] | None = None, **body: Any) -> Answer:
        """A query of a table."""
        share = "acme" if token == KEY else "rival"
        path = f"/shares/{share}/schemas/default/tables/{table}/query"
        return self.ask(path, "POST", json.dumps(body).encode(), headers, token)


def lines_of(answer: Answer) -> list[dict[str, Any]]:
    """The lines of an answer."""
    assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    return [json.loads(line) for line in answer.body.splitlines()]


def file_of(answer: Answer) -> dict[str, Any]:
    """The file of a query's answer."""
    assert answer.status == 200, answer.body
    (found,) = (line["file"] for line in lines_of(answer) if "file" in line)
    file: dict[str, Any] = found
    return file


def write_rows(path: Path, rows: int) -> None:
    """Write a Parquet file with a column of every kind."""
    cells = ", ".join(f'{sql} AS "{name}"' for name, sql in COLUMNS.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY (SELECT {cells} FROM range({rows})) TO '{path}' (FORMAT parquet)")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Workflows whose ids are hard to write as names, one without rows, one that has only failed; and a rival's."""
    folder = tmp_path_factory.mktemp("shared")
    for name, rows in (("old", 10), ("rows", ROWS), ("none", 0)):
        write_rows(folder / f"{name}.parquet", rows)
    with Server((str(folder / "store"), {}), folder) as server:
        for workflow, run, name in (
            ("My.Orders", "2026.1", "old"),
            ("My.Orders", "2026.2", "rows"),
            ("my-orders", "r", "old"),
            ("empty", "r", "none"),
        ):
            server.publish("--workflow", workflow, "--run", run, str(folder / f"{name}.parquet"))
        server.publish("--workflow", "failed", "--run", "r", "--state", "FAILED", str(folder / "old.parquet"))
        server.publish("--workflow", "theirs", "--run", "r", str(folder / "old.parquet"), team="rival")
        yield Shared(server)


_PROGRAM = """
import json, sys
import delta_sharing as ds
profile = sys.argv[1]
url = lambda table: f"{profile}#acme.default.{table}"
for line in sys.stdin:
    exec(json.loads(line))
    sys.stdout.flush()
"""


@dataclass(frozen=True)
class Client:
    """A process with the client, which takes seconds to import, and with a profile of the team ``acme``."""

    process: "subprocess.Popen[str]"

    def run(self, statements: str) -> Any:
        """The line that the statements print, parsed as JSON; ``ds`` is the client, ``url`` makes that of a table."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(statements) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client has ended: its error is above"
        return json.loads(line)


@pytest.fixture(scope="module")
def client(shared: Shared) -> Iterator[Client]:
    """The official client, with a profile that the command has written."""
    if not CLIENT.exists():
        pytest.skip("the client of Delta Sharing is missing: make .venv-delta/installed")
    server = shared.server
    done = server.command("keys", "share", "--team", "acme", "--file", "keys.jsonl", "-o", "acme.share")
    assert done.returncode == 0, done.stderr
    profile = server.folder / "acme.share"
    content = json.loads(profile.read_text())
    assert content["endpoint"] == f"{server.base}/delta-sharing/"
    # The service of these tests takes its keys from the settings.
    profile.write_text(json.dumps(content | {"bearerToken": KEY}))
    with subprocess.Popen(
        [str(CLIENT), "-W", "ignore", "-c", _PROGRAM, str(profile)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Client(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
