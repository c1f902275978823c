"""Own files beside the published runs: readable under their names, never written, and no way to other files."""

import csv
import gzip
import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import InvalidRequest
from engine.query.inspect.own_files import OwnData, OwnDatabase, OwnFile
from engine.query.inspect.session import Inspection, open_inspection
from engine.stores import open_store
from tests.helpers.engine import Engine
from tests.helpers.server import Server

JOBS = [{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "c", "n": 3}]
PRICES: list[dict[str, Any]] = [{"id": "b", "price": 1.5}, {"id": "c", "price": 2.0}, {"id": "d", "price": None}]
JOINED = [["b", "2", "1.5"], ["c", "3", "2.0"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The settings of a service that is not running, a published run, and files beside its store."""
    folder = tmp_path_factory.mktemp("own")
    Engine(folder / "engine", open_store(str(folder / "store" / "results"))).publish_rows(
        JOBS, "r1", workflow="jobs", row_id="id"
    )
    text = "id,price\n" + "".join(f"{row['id']},{'' if row['price'] is None else row['price']}\n" for row in PRICES)
    (folder / "prices.csv").write_text(text)
    (folder / "prices.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "prices.tsv").write_text(text.replace(",", "\t"))
    (folder / "prices.json").write_text(json.dumps(PRICES))
    (folder / "prices.ndjson").write_text("".join(f"{json.dumps(row)}\n" for row in PRICES))
    pq.write_table(pa.Table.from_pylist(PRICES), folder / "a=b;'.parquet")
    with duckdb.connect(str(folder / "mine.duckdb")) as connection:
        connection.execute("CREATE TABLE prices (id VARCHAR, price DOUBLE)")
        connection.executemany("INSERT INTO prices VALUES (?, ?)", [[row["id"], row["price"]] for row in PRICES])
        connection.execute("CREATE VIEW other AS FROM read_text('/etc/passwd')")
    server = Server((str(folder / "store"), {}), folder)
    server.initialise()
    return server


@pytest.fixture(scope="module")
def inspection(server: Server) -> Iterator[Inspection]:
    """A session with a data file and a database."""
    folder = server.folder
    engine = Engine(folder, open_store(str(folder / "store" / "results")))
    own = OwnData((OwnFile("p", folder / "prices.csv"),), (OwnDatabase("mine", folder / "mine.duckdb"),))
    with open_inspection(engine.results, None, engine.settings(1), own) as inspection:
        yield inspection


@pytest.mark.parametrize(
    ("option", "source"),
    [
        (("--file", "p=prices.csv"), "p"),
        (("--file", "p=prices.csv.gz"), "p"),
        (("--file", "p=prices.tsv"), "p"),
        (("--file", "p=prices.json"), "p"),
        (("--file", "p=prices.ndjson"), "p"),
        (("--file", "p=a=b;'.parquet"), "p"),
        (("--attach", "mine.duckdb"), "mine.prices"),
        (("--attach", "Größe=mine.duckdb"), "Größe.prices"),
    ],
)
def test_own_data_joins_published_rows(server: Server, option: tuple[str, str], source: str) -> None:
    query = f"SELECT id, n, price FROM result('jobs') JOIN {source} USING (id) ORDER BY id"
    done = server.command("sql", *option, query, "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(csv.reader(io.StringIO(done.stdout)))[1:] == JOINED


def test_a_file_can_be_read_with_other_options(server: Server) -> None:
    query = "SELECT price FROM read_csv('own://p.csv', all_varchar := true)"
    done = server.command("sql", "--file", "p=prices.csv", query, "--format", "json")
    assert json.loads(done.stdout) == [{"price": None if row["price"] is None else str(row["price"])} for row in PRICES]


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO 'own://p.csv'",
        "COPY (SELECT 1) TO '{folder}/prices.csv'",
        "COPY (SELECT 1) TO '{folder}/mine.duckdb'",
        "INSERT INTO mine.prices VALUES ('x', 1)",
        "CREATE TABLE mine.t (n INT)",
        "DROP TABLE mine.prices",
        "ALTER TABLE mine.prices ADD COLUMN n INT",
        "DETACH mine",
        "ATTACH '{folder}/mine.duckdb' AS again",
        "FROM mine.other",
        "FROM '{folder}/prices.json'",
        "FROM read_csv('own://../prices.csv')",
        "FROM read_csv('own://*.csv')",
        "FROM read_text('own://q.csv')",
    ],
)
def test_own_data_is_not_written_and_leads_nowhere_else(server: Server, inspection: Inspection, statement: str) -> None:
    before, text = _hashes(server.folder), statement.format(folder=server.folder)
    with pytest.raises(InvalidRequest):
        _run(inspection, text)
    # The same without our own check of statements: DuckDB's fence alone.
    if not statement.startswith("DETACH"):
        with pytest.raises((duckdb.Error, RuntimeError)):
            inspection._connection.execute(text).fetchall()
    assert _hashes(server.folder) == before


def _run(inspection: Inspection, text: str) -> None:
    for one in inspection.statements(text):
        list(inspection.rows(one).pages())


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("option", "code", "reason"),
    [
        (("--file", "p=nowhere.csv"), 1, "nowhere.csv cannot be read: No such file or directory."),
        (("--file", "p=folder.csv"), 1, "folder.csv is not a regular file."),
        (("--file", "p=pipe.csv"), 1, "pipe.csv is not a regular file."),
        (("--file", "p=text.parquet"), 1, "p: "),
        (("--file", "runs=prices.csv"), 1, "runs: "),
        (("--file", "prices.csv"), 2, "'prices.csv' is not NAME=PATH"),
        (("--file", "1p=prices.csv"), 2, "'1p=prices.csv' is not NAME=PATH"),
        (("--file", "p=mine.duckdb"), 2, "mine.duckdb has none of the extensions"),
        (("--file", "p=prices.csv", "--file", "P=prices.csv"), 2, "P is given twice."),
        (("--attach", "nowhere.duckdb"), 1, "nowhere.duckdb cannot be read"),
        (("--attach", "p=prices.csv"), 1, "prices.csv is not a DuckDB database; use --file"),
        (("--attach", "memory=mine.duckdb"), 1, "memory: "),
        (("--attach", "1.duckdb"), 2, "'1=1.duckdb' is not NAME=PATH"),
    ],
)
def test_what_cannot_be_read_is_refused(server: Server, option: tuple[str, ...], code: int, reason: str) -> None:
    (server.folder / "folder.csv").mkdir(exist_ok=True)
    (server.folder / "text.parquet").write_text("no Parquet")
    if not (server.folder / "pipe.csv").exists():
        os.mkfifo(server.folder / "pipe.csv")
    done = server.command("sql", *option, "SELECT 1")
    assert (done.returncode, done.stdout) == (code, "")
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (server.folder / "nowhere.duckdb").exists()
