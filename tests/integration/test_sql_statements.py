"""The statements of an operator's session: scripts, tables of the session, parameters, rows as text."""

from collections.abc import Iterator
from csv import reader as csv_reader
from itertools import chain
from typing import Any

import pytest

from engine.common.chunk import Chunk
from engine.errors import InvalidRequest
from engine.query.inspect.session import Inspection, open_inspection
from engine.query.inspect.statements import split
from engine.request.formats import FORMATS
from engine.stores import open_store
from tests.helpers.engine import Engine


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspection]:
    """A session over an empty store."""
    folder = tmp_path_factory.mktemp("statements")
    engine = Engine(folder, open_store(str(folder / "store")))
    with open_inspection(engine.results, None, engine.settings(2)) as inspection:
        yield inspection


def run(inspection: Inspection, script: str) -> list[Any]:
    """The rows of each statement."""
    return [list(chain.from_iterable(inspection.rows(one).pages())) for one in inspection.statements(script)]


def csv(inspection: Inspection, query: str) -> str:
    chunks: list[Chunk] = []
    inspection.write(query, FORMATS["csv"], chunks.append)
    return b"".join(chunks).decode()


def test_a_script_is_split_at_its_semicolons() -> None:
    script = "SELECT ';' /* ; */; -- ;\n\n;SELECT 'ü', $$;$$ ; ; SELECT \";\" -- end;"
    found = [text.strip() for text in split(script)]
    assert found == ["SELECT ';' /* ; */", "SELECT 'ü', $$;$$", 'SELECT ";" -- end;']


def test_statements_of_a_session_change_only_the_session(inspection: Inspection) -> None:
    script = """
        CREATE TEMP TABLE mine (n INT, s VARCHAR);
        INSERT INTO mine VALUES (1, 'a'), (2, NULL);
        UPDATE mine SET n = n + 10 RETURNING n, s;
        DELETE FROM mine WHERE s IS NULL;
        SET VARIABLE factor = 3;
        CREATE MACRO tripled(x) AS x * getvariable('factor');
        CREATE VIEW seen AS SELECT tripled(n) AS n FROM mine;
        FROM seen;
        DROP TABLE mine;
        RESET VARIABLE factor;
    """
    changed = [("11", "a"), ("12", None)]
    assert run(inspection, script) == [[], [], changed, [], [], [], [], [("33",)], [], []]


def test_text_is_bound_as_a_parameter(inspection: Inspection) -> None:
    [statement] = inspection.statements("SELECT $name AS a, 5 > $n AS b FROM range(9) LIMIT $n")
    hostile = "'; DROP VIEW runs; --"
    values = {"name": hostile, "n": "2", "unused": "x"}
    assert list(inspection.rows(statement, values).pages()) == [[(hostile, "true"), (hostile, "true")]]
    chunks: list[Chunk] = []
    inspection.write(statement.text, FORMATS["csv"], chunks.append, values)
    assert list(csv_reader(b"".join(chunks).decode().splitlines())) == [["a", "b"], *[[hostile, "true"]] * 2]
    with pytest.raises(InvalidRequest, match="n"):
        inspection.rows(statement, {"name": "x"})


@pytest.mark.parametrize(
    ("count", "first", "last"), [(0, 3, 2), (4, 3, 2), (5, 3, 2), (6, 3, 2), (20_000, 3, 2), (5, 3, 5_000)]
)
def test_the_ends_and_the_number_of_rows(inspection: Inspection, count: int, first: int, last: int) -> None:
    [statement] = inspection.statements(f"SELECT range AS n FROM range({count})")
    ends = inspection.rows(statement).ends(first, last)
    expected = [(str(n),) for n in range(count)]
    assert ends.count == count
    assert ends.first == expected[:first]
    assert ends.last == expected[max(first, count - last) :]


def test_an_error_while_rows_are_read(inspection: Inspection) -> None:
    [statement] = inspection.statements("SELECT CAST(if(range = 90000, 'x', '1') AS INT) AS n FROM range(100000)")
    with pytest.raises(InvalidRequest, match="Conversion Error: Could not convert string 'x' to INT32"):
        list(inspection.rows(statement).pages())
    assert csv(inspection, "SELECT 1 AS n") == "n\n1\n"


def test_cells_are_shown_as_duckdb_writes_them(inspection: Inspection) -> None:
    query = (
        "SELECT TIMESTAMP_NS '2024-01-02 03:04:05.123456789', 'infinity'::TIMESTAMP, DATE '0044-03-15 (BC)', "
        "NULL, {'a': [1, NULL]}, '\\x00'::BLOB, 170141183460469231731687303715884105727::HUGEINT, 1 AS a, 2 AS a"
    )
    expected = (
        "2024-01-02 03:04:05.123456789", "infinity", "0044-03-15 (BC)",
        None, "{'a': [1, NULL]}", "\\x00", "170141183460469231731687303715884105727", "1", "2",
    )  # fmt: skip
    assert run(inspection, query) == [[expected]]
