"""``tailrace sql`` with statements on the command line or in files: complete results, formats, exit codes."""

import csv
import io
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

import pyarrow.parquet as pq
import pytest

from engine.stores import open_store
from tests.helpers.engine import Engine
from tests.helpers.forks import TAILRACE, Forked, start
from tests.helpers.server import Server
from tests.helpers.sheets import agrees, read_sheet

ROWS: list[dict[str, Any]] = [
    {"id": f"k{n}", "n": n, "city": None if n % 7 == 0 else ["Rome", "O|slo", "Kø\nln"][n % 3]} for n in range(12_345)
]
MANY = 400_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The settings of a service that is not running, with one run of more rows than DuckDB draws."""
    folder = tmp_path_factory.mktemp("scripts")
    engine = Engine(folder / "engine", open_store(str(folder / "store" / "results")))
    engine.publish_rows(ROWS, "r1", workflow="jobs", row_id="id")
    server = Server((str(folder / "store"), {}), folder)
    server.initialise()
    return server


def sql(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return server.command("sql", *arguments)


def started(server: Server, *arguments: str) -> Forked:
    """The command, whose streams are pipes."""
    pipe = subprocess.PIPE
    return start(["sql", *arguments], server.environment, server.folder, stdin=pipe, stdout=pipe, stderr=pipe)


def answer(server: Server, *arguments: str) -> str:
    done = sql(server, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def box_rows(text: str) -> list[list[str]]:
    """The cells below the names and types of a box."""
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines[2:]]


def test_a_table_in_a_pipe_has_every_row(server: Server) -> None:
    drawn = box_rows(answer(server, "SELECT id, n FROM result('jobs')"))
    assert drawn == [[row["id"], str(row["n"])] for row in ROWS]
    lines = answer(server, "SELECT id, n FROM result('jobs')", "--format", "line").split("\n\n")
    assert [block.split() for block in lines] == [["id", "=", row["id"], "n", "=", str(row["n"])] for row in ROWS]
    table = answer(server, "SELECT id, city FROM result('jobs')", "--format", "markdown").splitlines()
    assert table[:2] == ["| id | city |", "| --- | --- |"]
    cities = {None: "", "Rome": "Rome", "O|slo": "O\\|slo", "Kø\nln": "Kø\\nln"}
    assert table[2:] == [f"| {row['id']} | {cities[row['city']]} |" for row in ROWS]


def test_a_cell_wider_than_those_before_is_not_cut(server: Server) -> None:
    query = "SELECT if(range = 11000, repeat('x', 300), 'y') AS x, range AS n FROM range(11002)"
    assert box_rows(answer(server, query))[-3:] == [["y", "10999"], ["x" * 300, "11000"], ["y", "11001"]]


def _peak(server: Server, query: str) -> int:
    """The largest resident set of the command, in kilobytes, whose output is read and counted."""
    # An interpreter of its own: a fork would begin with the memory of the process that it is forked from.
    process = subprocess.Popen(
        [sys.executable, "-c", TAILRACE, "sql", query],
        env=server.environment, cwd=server.folder, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    rows = sum(line.startswith("│ ".encode()) for line in process.stdout) - 2
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, rows) == (0, MANY if "range(400000)" in query else 1)
    return usage.ru_maxrss


def test_a_large_result_takes_bounded_memory(server: Server) -> None:
    query = "SELECT range AS n, repeat('x', 200) AS x FROM range({})"
    small = _peak(server, query.format(1))
    # The result is 80 MB of text.
    assert _peak(server, query.format(MANY)) - small < 40_000


def test_statements_run_in_turn(server: Server) -> None:
    script = server.folder / "script.sql"
    script.write_text("CREATE TEMP TABLE t AS SELECT 1 AS one;\n-- and\nSET VARIABLE v = 'ö';\n")
    asked = (
        "-f",
        str(script),
        "-c",
        "FROM t; SELECT length(getvariable('v')) AS v",
        "-c",
        "SELECT 3 AS three",
        "--format",
        "csv",
    )
    assert answer(server, *asked) == "one\n1\nv\n1\nthree\n3\n"
    assert answer(server, "select 1 AS a; select 2 AS b;", "--format", "json") == '[\n\t{"a":1}\n]\n[\n\t{"b":2}\n]'


def test_a_pivot_finds_its_columns(server: Server) -> None:
    query = "PIVOT (SELECT n % 2 AS odd, n % 3 AS city FROM result('jobs')) ON city USING count(*) ORDER BY odd"
    counts = [
        [sum(row["n"] % 2 == odd and row["n"] % 3 == city for row in ROWS) for city in range(3)] for odd in (0, 1)
    ]
    expected = [[str(odd), *map(str, counts[odd])] for odd in (0, 1)]
    assert box_rows(answer(server, query)) == expected
    assert list(csv.reader(io.StringIO(answer(server, query, "--format", "csv"))))[1:] == expected


def test_the_first_failure_ends_a_script(server: Server) -> None:
    done = sql(server, "-c", "SELECT 1 AS one", "-c", "FROM nope; SELECT 2 AS two", "--format", "csv")
    assert (done.returncode, done.stdout) == (1, "one\n1\n")
    assert done.stderr.startswith("tailrace: Catalog Error: Table with name nope does not exist!")
    # What cannot be read is refused before anything runs.
    done = sql(server, "SELECT 1 AS one; SELEC 2", "--format", "csv")
    assert (done.returncode, done.stdout) == (1, "")


def test_parameters_are_bound(server: Server) -> None:
    query = "SELECT count(*) AS n FROM result($w) WHERE city = $city AND n >= $least"
    hostile = "x'; DROP VIEW runs; --"
    asked = ("--param", "w=jobs", "--param", "least=100", "--format", "csv")
    for city in ("Rome", "O|slo", hostile):
        expected = sum(row["city"] == city and row["n"] >= 100 for row in ROWS)
        assert answer(server, query, *asked, "--param", f"city={city}") == f"n\n{expected}\n"
    done = sql(server, query, *asked)
    assert (done.returncode, done.stdout) == (1, "")
    assert "city" in done.stderr


def test_the_name_of_a_file_gives_its_format(server: Server) -> None:
    query = "SELECT id, n, city FROM result('jobs') WHERE n < 50"
    rows = ROWS[:50]
    folder = server.folder
    for name in ("x.csv", "x.json", "x.parquet", "x.md", "x.txt", "X.CSV", "x.jsonl", "x.ndjson", "x.xlsx"):
        assert answer(server, query, "-o", name) == ""
    read = list(csv.DictReader(io.StringIO((folder / "x.csv").read_text("utf-8"), newline="")))
    assert read == [{"id": row["id"], "n": str(row["n"]), "city": row["city"] or ""} for row in rows]
    assert (folder / "X.CSV").read_bytes() == (folder / "x.csv").read_bytes()
    assert json.loads((folder / "x.json").read_text()) == rows
    assert list(map(json.loads, (folder / "x.jsonl").read_text().splitlines())) == rows
    assert (folder / "x.ndjson").read_bytes() == (folder / "x.jsonl").read_bytes()
    assert pq.read_table(folder / "x.parquet").to_pylist() == rows
    assert all(
        agrees(value, cell)
        for row, cells in zip(rows, read_sheet((folder / "x.xlsx").read_bytes())[1:], strict=True)
        for value, cell in zip(row.values(), cells, strict=True)
    )
    assert (folder / "x.md").read_text().startswith("| id | n | city |\n")
    assert len(box_rows((folder / "x.txt").read_text())) == 50


def test_a_result_that_does_not_fit_a_sheet_leaves_no_file(server: Server) -> None:
    for query, reason in (
        ("SELECT repeat('x', 32768) AS long", "the maximum in xlsx; its column is long"),
        ("FROM range(1048576)", "the export has 1,048,576 rows, and xlsx at most 1,048,575"),
    ):
        done = server.command("sql", query, "-o", "refused.xlsx")
        assert (done.returncode, reason in done.stderr) == (1, True), done.stderr
        assert not (server.folder / "refused.xlsx").exists()


def test_a_file_has_the_bytes_of_an_export(server: Server) -> None:
    for name in ("csv", "json", "jsonl", "xlsx", "parquet"):
        exported, asked = server.folder / f"exported.{name}", server.folder / f"asked.{name}"
        done = server.command("export", "jobs", "--include-row-ids", "-q", "--force", "-o", str(exported))
        assert done.returncode == 0
        assert answer(server, "FROM result('jobs')", "-o", str(asked)) == ""
        if name == "parquet":
            assert pq.read_table(asked).equals(pq.read_table(exported))
        elif name == "xlsx":
            assert read_sheet(asked.read_bytes()) == read_sheet(exported.read_bytes())
        else:
            assert asked.read_bytes() == exported.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["SELECT 1", "--format", "json", "-o", "x.csv"], "--format json contradicts the name x.csv"),
        (["SELECT 1", "-o", "x.csv.gz"], "The name x.csv.gz has no known format: end it with one of .txt, .md, .csv"),
        (["SELECT 1", "-o", "x"], "The name x has no known format"),
        (["SELECT 1; SELECT 2", "-o", "x.csv"], "A file has the result of one statement; these are 2."),
        (["SET VARIABLE x = 1", "-o", "x.csv"], "A file has the result of one statement; these are 0."),
        (["SELECT 1", "-c", "SELECT 2"], "QUERY cannot be combined with -c or -f."),
        (["SELECT 1", "--param", "x"], "'x' is not NAME=VALUE"),
        (["SELECT 1", "--param", "1=x"], "'1=x' is not NAME=VALUE"),
        (["SELECT 1", "--param", "a=1", "--param", "a=2"], "a is given twice."),
        (["-f", "nowhere.sql"], "No such file"),
        (["--format", "csv"], "--format and --output need a QUERY, -c or -f."),
        (["-c", "SELECT 1", "--views", "v.duckdb"], "--views cannot be combined with statements."),
    ],
)
def test_usage_errors(server: Server, arguments: list[str], reason: str) -> None:
    before = _names(server)
    done = sql(server, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in " ".join(done.stderr.split())
    assert _names(server) == before


def _names(server: Server) -> set[str]:
    return {path.name for path in server.folder.iterdir()} - {"spill"}


def test_a_script_that_is_not_text_is_refused(server: Server) -> None:
    (server.folder / "latin.sql").write_bytes("SELECT 'ö'".encode("latin-1"))
    done = sql(server, "-f", "latin.sql")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "tailrace: latin.sql is not UTF-8.\n")


def test_explain_and_returning_have_no_exact_format(server: Server) -> None:
    assert "RANGE" in answer(server, "EXPLAIN FROM range(3)")
    assert json.loads(answer(server, "EXPLAIN (FORMAT json) FROM range(3)"))
    done = sql(server, "EXPLAIN FROM range(3)", "--format", "csv")
    assert (done.returncode, done.stderr) == (1, "tailrace: EXPLAIN has no csv: use box, line or markdown.\n")
    done = sql(server, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1) RETURNING n", "--format", "csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert "RETURNING has no csv" in done.stderr


def test_a_reader_that_stops_ends_the_command_in_silence(server: Server) -> None:
    with started(server, "FROM range(1000000000)", "--format", "csv") as process:
        assert process.stdout.readline() == b"range\n"
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("query", "format_name"),
    [
        ("SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range = -7", "box"),
        # Nobody reads what it writes, so it waits for the pipe.
        ("FROM range(1000000000)", "box"),
        ("FROM range(1000000000)", "csv"),
    ],
)
def test_ctrl_c_ends_with_130_and_one_line(server: Server, query: str, format_name: str) -> None:
    with started(server, "-c", "SELECT 1", "-c", query, "--format", format_name) as process:
        # The first answer is there, so the second statement runs or is about to.
        assert select.select([process.stdout], [], [], 60)[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b"\ntailrace: interrupted.\n"


def test_ctrl_c_ends_a_pipe_that_waits_for_statements(server: Server) -> None:
    with started(server) as process:
        process.stdin.write(b"SELECT 1;\nSELECT")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], 60)[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b"\ntailrace: interrupted.\n"
