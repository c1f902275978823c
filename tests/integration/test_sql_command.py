"""``tailrace sql`` as a separate process, on both kinds of store."""

import json
import signal
import subprocess
from typing import Any

import duckdb
import polars as pl
import pytest

from engine.stores import open_store
from tests.helpers.azurite import KEY
from tests.helpers.engine import Engine
from tests.helpers.forks import run
from tests.helpers.server import Server
from tests.helpers.stores import any_store
from tests.helpers.terminal import Terminal

ROWS: list[dict[str, Any]] = [{"id": "a", "n": 9007199254740993}, {"id": "b", "n": None}]


@pytest.fixture(scope="module")
def server(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The settings of a service that is not running, with two runs of one workflow and one of another team."""
    location, environment = module_store_url
    folder = tmp_path_factory.mktemp("command")
    store = open_store(f"{location}/results", connection_string=environment.get("AZURE_STORAGE_CONNECTION_STRING"))
    engine = Engine(folder / "engine", store)
    engine.publish_rows(ROWS[:1], "r1", workflow="jobs", row_id="id")
    engine.publish_rows(ROWS, "r2", workflow="jobs", row_id="id")
    engine.publish_rows(ROWS, "r1", workflow="prices", row_id="id", team="rival")
    server = Server(module_store_url, folder)
    server.initialise()
    return server


def test_a_query_is_drawn_as_a_table(server: Server) -> None:
    asked = server.command("sql", "FROM result('jobs')", "--format", "csv")
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, '"_row_id","id",n\na,a,9007199254740993\nb,b,\n', "")
    asked = server.command("sql", "FROM result('prices');", "--format", "json")
    assert json.loads(asked.stdout) == [{"_row_id": row["id"], **row} for row in ROWS]
    drawn = server.command("sql", "SELECT workflow, run, rows FROM runs").stdout.splitlines()
    assert [line.split("│")[1:4] for line in drawn if "jobs" in line] == [
        [" jobs     ", " r2      ", "     2 "],
        [" jobs     ", " r1      ", "     1 "],
    ]
    assert server.command("sql", "FROM exports", "--format", "json").stdout == "[]"


def test_a_result_is_written_to_a_file(server: Server) -> None:
    done = server.command("sql", "FROM result('jobs')", "--format", "parquet", "-o", "jobs.parquet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert pl.read_parquet(server.folder / "jobs.parquet")["n"].to_list() == [row["n"] for row in ROWS]
    failed = server.command("sql", "FROM result('nope')", "--format", "parquet", "-o", "jobs.parquet")
    assert failed.returncode == 1
    assert pl.read_parquet(server.folder / "jobs.parquet").height == 2
    assert [path.name for path in server.folder.glob("*jobs.parquet*")] == ["jobs.parquet"]


@any_store
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["SELEC 1"], 1),
        (["FROM nope"], 1),
        (["FROM result('nope')"], 1),
        (["FROM read_text('/etc/passwd')"], 1),
        (["COPY (SELECT 1) TO 'x.csv'"], 1),
        (["SELECT 1", "--format", "csv", "-o", "no/such/folder.csv"], 1),
        (["SELECT 1", "--format", "xml"], 2),
        (["--format", "csv"], 2),
        (["SELECT 1", "--views", "x.duckdb"], 2),
        (["SELECT 1", "SELECT 2"], 2),
    ],
)
def test_exit_codes(server: Server, arguments: list[str], code: int) -> None:
    done = server.command("sql", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    if code == 1:
        said, *place = done.stderr.splitlines()
        assert said.startswith("tailrace: ")
        assert len(place) in (0, 2)
        assert not place or (place[0] == f"LINE 1: {arguments[0]}" and place[1].strip() == "^")


@any_store
def test_statements_from_a_pipe(server: Server) -> None:
    typed = "SELECT\n  'a;b' AS\n  one\n;\nFROM nope;\nSELECT 2 AS two; -- said\nSELECT 3 AS three"
    done = _piped(server, typed)
    assert [name in done.stdout for name in ("one", "a;b", "two", "three")] == [True] * 4
    assert done.stderr.splitlines() == [
        'tailrace: Catalog Error: Table with name nope does not exist! Did you mean "pg_enum"?',
        "LINE 1: FROM nope",
        "             ^",
    ]
    assert done.returncode == 1
    for word in ("\\q", "exit", "quit;", ".exit", ".quit", "QUIT"):
        left = _piped(server, f"SELECT 1 AS one;\n{word}\nSELECT 2 AS two;\n")
        assert ("one" in left.stdout, "two" in left.stdout, left.returncode) == (True, False, 0), word


@any_store
def test_help_lists_the_tables_in_the_prompt(server: Server) -> None:
    listed = _piped(server, "FROM help;\n")
    assert "latest_runs" in listed.stdout
    for word in ("help", "help;", "\\h"):
        assert (_piped(server, f"{word}\n").stdout, word) == (listed.stdout, word)
    # Within a statement, it is part of the statement.
    assert "latest_runs" in _piped(server, "FROM\nhelp\n;\n").stdout


def _piped(server: Server, typed: str) -> "subprocess.CompletedProcess[str]":
    return run(["sql"], server.environment, server.folder, piped=typed)


@any_store
def test_the_prompt_of_a_terminal_without_a_cursor(server: Server) -> None:
    with Terminal(server.environment, server.folder, "sql", term="dumb") as terminal:
        terminal.read_until("tailrace> ")
        terminal.type("SELECT n\nFROM result('jobs')\nWHERE n > 1;\n")
        assert "...> " in terminal.read_until("9007199254740993")
        terminal.type("FROM read_text('/etc/passwd');\n")
        terminal.read_until("tailrace: Permission Error")
        endless = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range = -7"
        terminal.type(f"SELECT 'be' || 'gun'; {endless};\n")
        terminal.read_until("begun")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until("tailrace: The query was cancelled.")
        terminal.type("SELECT 40 + 2 AS answer;\n")
        terminal.read_until("42")
        terminal.type("\\q\n")
        assert terminal.wait() == 0
    assert "40 + 2" in (server.folder / ".tailrace_sql_history").read_text()


def test_a_views_file_opens_in_duckdb(server: Server, module_store_url: tuple[str, dict[str, str]]) -> None:
    for _ in range(2):
        made = server.command("sql", "--views", "results.duckdb")
        assert (made.returncode, made.stderr) == (0, "")
    file = server.folder / "results.duckdb"
    with duckdb.connect(str(file), read_only=True, config={"autoinstall_known_extensions": False}) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
        found = connection.execute("SELECT workflow, run, team, rows FROM latest_runs").fetchall()
        assert found == [("jobs", "r2", "acme", 2), ("prices", "r1", "rival", 2)]
        for name in ("help", "runs", "files", "exports"):
            connection.execute(f"FROM {name}").fetchall()
        if module_store_url[0].startswith("az://"):
            assert "CREATE SECRET" in made.stdout
            noted = "SELECT comment FROM duckdb_functions() WHERE function_name = 'result' AND NOT internal"
            assert "CREATE SECRET" in str(connection.execute(noted).fetchone())
            with pytest.raises(duckdb.Error, match="azure"):
                connection.execute("FROM result('jobs')")
            assert KEY.encode() not in file.read_bytes()
        else:
            assert connection.execute("SELECT id, n FROM result('jobs')").fetchall() == [
                (row["id"], row["n"]) for row in ROWS
            ]
            assert connection.execute("SELECT change FROM run_diff('jobs', 'r1', 'r2')").fetchall() == [("added",)]
            assert connection.execute("SELECT nulls FROM profile('jobs') WHERE name = 'n'").fetchone() == (1,)


@any_store
def test_an_attached_views_file(server: Server) -> None:
    """Nothing but the name of the database is needed to join its views and macros with tables of others."""
    assert server.command("sql", "--views", "results.duckdb").returncode == 0
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{server.folder / 'results.duckdb'}' AS v (READ_ONLY)")
        connection.execute("CREATE TABLE mine AS SELECT 'a' AS id, 'known' AS note")
        for query, expected in (
            ("SELECT id, n, note FROM v.result('jobs') LEFT JOIN mine USING (id) ORDER BY id",
             [("a", ROWS[0]["n"], "known"), ("b", None, None)]),
            ("SELECT id FROM v.result('jobs', 'r1') JOIN v.result('prices', 'r1') USING (id)", [("a",)]),
            ("SELECT name, nulls FROM v.profile('jobs') WHERE nulls > 0", [("n", 1)]),
            ("SELECT row_id, change FROM v.run_diff('jobs', 'r1', 'r2')", [("b", "added")]),
            ("SELECT run, latest FROM v.runs WHERE workflow = 'jobs' ORDER BY run", [("r1", False), ("r2", True)]),
            ("SELECT workflow FROM v.latest_runs", [("jobs",), ("prices",)]),
            ("SELECT count(*) FROM v.files", [(3,)]),
            ("SELECT _run_id, count(*) FROM v.history('jobs') GROUP BY ALL ORDER BY ALL", [("r1", 1), ("r2", 2)]),
            ("SELECT rows FROM v.row_groups('jobs')", [(2,)]),
            ("SELECT rows FROM v.row_groups('jobs', 'r1')", [(1,)]),
            ("SELECT name, nulls FROM v.columns WHERE run = 'r2' AND nulls > 0", [("n", 1)]),
            ("SELECT count(*) FROM v.exports", [(0,)]),
        ):  # fmt: skip
            assert connection.execute(query).fetchall() == expected, query
        with pytest.raises(duckdb.Error, match="There is no finished run r9 of a workflow jobs"):
            connection.execute("FROM v.result('jobs', 'r9')")


@any_store
def test_another_file_is_not_replaced_by_views(server: Server) -> None:
    with duckdb.connect(str(server.folder / "mine.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS n")
    (server.folder / "notes.txt").write_text("mine")
    for name in ("mine.duckdb", "notes.txt"):
        refused = server.command("sql", "--views", name)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert (server.folder / "notes.txt").read_text() == "mine"
    with duckdb.connect(str(server.folder / "mine.duckdb")) as connection:
        assert connection.execute("FROM t").fetchall() == [(42,)]
    assert server.command("sql", "--views", "no/such/folder.duckdb").returncode == 1
