"""The shell of ``tailrace sql`` at a real pseudo-terminal."""

import re
from pathlib import Path
from typing import Any

import pytest

from engine.stores import open_store
from tests.helpers.engine import Engine
from tests.helpers.server import Server
from tests.helpers.terminal import CTRL_C, CTRL_D, ENTER, TAB, UP, Terminal

PROMPT = "tailrace>"
ROWS: list[dict[str, Any]] = [
    {"id": f"k{n}", "salary": n, "A name": "x", **{f"column_{c}": f"cell {c} of {n}" for c in range(20)}}
    for n in range(12_345)
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The settings of a service that is not running, with two runs of a workflow."""
    folder = tmp_path_factory.mktemp("shell")
    engine = Engine(folder / "engine", open_store(str(folder / "store" / "results")))
    engine.publish_rows(ROWS[:2], "2026-11-22", workflow="jobs", row_id="id")
    engine.publish_rows(ROWS, "2026-11-23", workflow="jobs", row_id="id")
    server = Server((str(folder / "store"), {}), folder)
    server.initialise()
    return server


def shell(stores: Server, home: Path, *arguments: str, pager: str = "", **options: Any) -> Terminal:
    """The shell in a home folder, at its first prompt."""
    terminal = Terminal({**stores.environment, "PAGER": pager}, home, "sql", *arguments, **options)
    terminal.read_until(PROMPT)
    return terminal


def leave(terminal: Terminal, word: str = "exit") -> None:
    terminal.type(word + ENTER)
    assert terminal.wait() == 0


def plain(text: str) -> str:
    """What is shown, without control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r", "", text)


def test_statements_over_several_lines_are_recalled_in_the_next_session(stores: Server, tmp_path: Path) -> None:
    with shell(stores, tmp_path) as terminal:
        terminal.type(f"SELECT salary * 2{ENTER}AS doubled{ENTER}FROM result('jobs')")
        terminal.type(f" WHERE salary = 1234;{ENTER}")
        assert "doubled" in terminal.read_until("2468")
        leave(terminal)
    with shell(stores, tmp_path) as terminal:
        # The last entry is `exit`, the one before it the whole statement.
        terminal.type(UP + UP)
        terminal.read_until("1234;")
        terminal.type(ENTER)
        terminal.read_until("2468")
        terminal.read_until(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    history = tmp_path / ".tailrace_sql_history"
    assert "+SELECT salary * 2\n+AS doubled\n+FROM result('jobs') WHERE salary = 1234;\n" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_a_long_and_wide_result_fits_the_terminal(stores: Server, tmp_path: Path) -> None:
    with shell(stores, tmp_path) as terminal:
        terminal.type(f"SELECT salary, * EXCLUDE salary FROM result('jobs');{ENTER}")
        shown = plain(terminal.read_until("every row."))
        lines = [line for line in shown.splitlines() if line.startswith(("│", "┌", "├", "└"))]
        assert {len(line) for line in lines} <= {*range(60, 101)}
        numbers = [line.split("│")[1].strip() for line in lines if line.startswith("│")][2:]
        assert numbers == [*map(str, range(20)), "·", "·", "·", *map(str, range(12_325, 12_345))]
        assert re.search(r"12,345 rows \(40 shown\), 24 columns \(\d shown\)", shown)
        terminal.type(f".mode line{ENTER}FROM result('jobs') WHERE salary = 77;{ENTER}")
        shown = plain(terminal.read_until("cell 19 of 77"))
        assert [name for name in ROWS[0] if f"{name} = " not in shown] == []
        leave(terminal, ".quit")


def test_names_are_completed_from_the_catalogue(stores: Server, tmp_path: Path) -> None:
    with shell(stores, tmp_path) as terminal:
        for typed, added, rest, answer in (
            ("SELECT 'w' || workflow FROM latest_r", "uns", ";", "wjobs"),
            ("SELECT 'n' || count(*) FROM result('j", "obs", "');", "n12345"),
            ("SELECT 'n' || count(*) FROM result('jobs', '2026-11-22", "", "');", "n2"),
            ("SELECT 'n' || count(*) FROM result('jobs', run := '2026-11-23", "", "');", "n12345"),
            ("SELECT 'm' || max(salary) FROM result('jobs') WHERE sal", "ary", " < 50;", "m49"),
            ("SELECT 'x' || max(x) FROM (SELECT 1 AS x) HAV", "ING", " max(x) > 0;", "x1"),
            ("SELECT 'b' || bit_len", "gth", "('abc');", "b24"),
            (".sch", "ema", " jobs", "column_19"),
            (".schema j", "obs", "", "column_19"),
            # A table of the session, and its column, whose name needs quotes.
            ('CREATE TEMP TABLE some_table AS SELECT 5 AS "odd name"; FROM some_t', "able", ";", "odd name"),
            ("FROM some_table WHERE od", '"odd name"', " > 4;", "1 row"),
        ):
            terminal.type(typed)
            terminal.read_until(typed[-4:])
            terminal.type(TAB)
            terminal.read_until(added)
            terminal.type(rest + ENTER)
            terminal.read_until(answer)
            terminal.read_until(PROMPT)
        leave(terminal)


def test_commands(stores: Server, tmp_path: Path) -> None:
    with shell(stores, tmp_path) as terminal:
        for typed, shown in (
            (".help", ".pager on|off"),
            (".tables", "latest_runs"),
            (".schema jobs", "column_19"),
            (".schema runs", "published_at"),
            (".schema nope", "tailrace: Catalog Error"),
            (".schema", "tailrace: Use .schema NAME"),
            (".nope", "tailrace: There is no command .nope"),
            (".tabels", "did you mean .tables?"),
            (".timer perhaps", "tailrace: Use .timer on or .timer off."),
            (".mode fancy", "tailrace: There is no mode fancy; use box, line, markdown, csv"),
            (".mode 'box", "tailrace: .mode 'box: No closing quotation."),
            (".mode markdown", ""),
            ("SELECT 1 AS one;", "| one |"),
            (".mode json", ""),
            ("SELECT 2 AS two;", '{"two":2}'),
            (".mode jsonl", ""),
            ("SELECT NULL AS none;", '{"none":null}'),
            (".mode csv", ""),
            ("SELECT 3 AS three;", "three\r\n3\r\n"),
            (".mode", "csv"),
            (".mode parquet", ""),
            ("SELECT 4 AS four;", "tailrace: parquet needs a file: use .output FILE."),
            (".mode box", ""),
            (".timer on", ""),
            ("SELECT 5 AS five;", "Run time: "),
            (".timer off", ""),
            (".output 'a file.csv'", ""),
            ("FROM result('jobs');", "of csv."),
            (".output what.xyz", ""),
            ("SELECT 6 AS six;", "tailrace: The name what.xyz has no known format"),
            (".output no/such/folder.csv", ""),
            ("SELECT 6 AS six;", "tailrace: no/such/folder.csv cannot be written"),
            ("SELECT 7 AS seven;", "seven"),
            ("HELP;", "latest_runs"),
        ):
            terminal.type(typed + ENTER)
            terminal.read_until(shown)
            terminal.read_until(PROMPT)
        leave(terminal, "QUIT;")
    written = (tmp_path / "a file.csv").read_text().splitlines()
    assert (len(written), written[-1].split(",")[2]) == (len(ROWS) + 1, "12344")


def test_a_session_sees_new_runs_after_a_refresh(stores: Server, tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", open_store(str(stores.folder / "store" / "results")))
    engine.publish_rows(ROWS[:1], "r1", workflow="growing", row_id="id")
    asked = (
        "SELECT 'm' || count(*) FROM mine; SELECT 'n' || count(*) FROM result('growing'); "
        "SELECT 'l' || run FROM latest_runs WHERE workflow = 'growing';"
    )
    with shell(stores, tmp_path) as terminal:
        terminal.type(f"CREATE TEMP TABLE mine AS FROM range(7);{ENTER}")
        terminal.type(asked + ENTER)
        assert "n1 " in terminal.read_until("lr1")
        terminal.read_until(PROMPT)
        engine.publish_rows(ROWS[:3], "r2", workflow="growing", row_id="id")
        terminal.type(asked + ENTER)
        assert "n1 " in terminal.read_until("lr1")
        terminal.read_until(PROMPT)
        terminal.type(f".refresh{ENTER}{asked}{ENTER}")
        shown = terminal.read_until("lr2")
        assert ("m7" in shown, "n3 " in shown) == (True, True)
        leave(terminal)


def test_a_pager_gets_what_does_not_fit(stores: Server, tmp_path: Path) -> None:
    with shell(stores, tmp_path, pager="tee paged.txt") as terminal:
        terminal.type(f".pager on{ENTER}")
        terminal.type(f"SELECT 'sm' || 'all' AS word;{ENTER}")
        terminal.read_until("small")
        assert not (tmp_path / "paged.txt").exists()
        terminal.type(f"FROM result('jobs');{ENTER}SELECT 'af' || 'ter' AS word;{ENTER}")
        terminal.read_until("after")
        paged = (tmp_path / "paged.txt").read_text().splitlines()
        cells = [[cell.strip() for cell in line.split("│")[2:-1]] for line in paged if line.startswith("│")]
        assert cells[0] == [*ROWS[0]]
        assert cells[2:] == [[*map(str, row.values())] for row in ROWS]
        leave(terminal)
    with shell(stores, tmp_path, pager="head -n 1") as terminal:
        # Leaving the pager ends the statement, which would take hours.
        terminal.type(f".pager on{ENTER}SELECT * FROM range(100000000000);{ENTER}.pager off{ENTER}")
        terminal.type(f"SELECT 'af' || 'ter' AS word;{ENTER}")
        terminal.read_until("after")
        leave(terminal)
    with shell(stores, tmp_path, pager="no-such-program") as terminal:
        terminal.type(f".pager on{ENTER}")
        terminal.read_until("There is no program 'no-such-program'")
        leave(terminal)


def test_ctrl_c_drops_what_is_typed_and_cancels_what_runs(stores: Server, tmp_path: Path) -> None:
    with shell(stores, tmp_path) as terminal:
        terminal.type(f"SELECT nonsense{ENTER}AND more{CTRL_C}")
        terminal.read_until(PROMPT)
        terminal.type(f"SELECT 'st' || 'ill';{ENTER}")
        terminal.read_until("still")
        terminal.type("SELECT 'be' || 'gun' AS word; SELECT count(*) FROM range(10000000000) a, range(9) b")
        terminal.type(f" WHERE a.range * b.range = -7;{ENTER}")
        terminal.read_until("begun")
        terminal.read_until("1 row")
        terminal.type(CTRL_C)
        terminal.read_until("tailrace: The query was cancelled.")
        # Far more than the terminal takes, but an end: DuckDB may hold back the rows of an endless scan.
        terminal.type(f".mode csv{ENTER}FROM range(5000000);{ENTER}")
        terminal.read_until("\n5000\r")
        terminal.type(CTRL_C)
        terminal.read_until("tailrace: The query was cancelled.")
        terminal.type(f"SELECT 'go' || 'es on' AS word;{ENTER}")
        terminal.read_until("goes on")
        leave(terminal)


def test_a_history_that_cannot_be_written_is_no_obstacle(stores: Server, tmp_path: Path) -> None:
    (tmp_path / ".tailrace_sql_history").mkdir()
    with shell(stores, tmp_path) as terminal:
        terminal.type(f"SELECT 'st' || 'ill';{ENTER}")
        terminal.read_until("still")
        leave(terminal)


def test_one_statement_at_a_terminal(stores: Server, tmp_path: Path) -> None:
    with Terminal(stores.environment, tmp_path, "sql", "SELECT range FROM range(12345)") as terminal:
        shown = plain(terminal.read_until("-o FILE takes every row."))
        assert "12,345 rows (40 shown)" in shown
        assert terminal.wait() == 0
