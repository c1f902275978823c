"""Generated CSV files come back cell by cell, or are refused with file, line and remedy."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.errors import InvalidInput
from engine.execute.session import open_session
from engine.publishing.sources import open_source
from tests.helpers.cells import differences, text_of_value
from tests.helpers.engine import Engine
from tests.property.cases import Cases
from tests.property.csv_files import CsvCase, csv_case, python_rows


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "engine")


@pytest.fixture
def connection(engine: Engine) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_session(engine.settings(1), threads=1, locked=False) as opened:
        yield opened


def test_every_row_of_a_file_is_read_or_the_file_is_refused(
    engine: Engine, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def property_(chance: random.Random) -> int:
        case = csv_case(chance)
        monkeypatch.setattr("engine.publishing.csv.rows._MOST_BYTES", chance.choice([1, 2, 5, 30, 2**20]))
        path = engine.write(f"file{case.extension}", case.content)
        _agrees_with_python(case)
        if case.rows is None:
            with pytest.raises(InvalidInput) as refused:
                _read(connection, path, case)
            _is_helpful(refused.value.message, path, case)
            return 1
        names, rows = _read(connection, path, case)
        assert names == case.header
        assert [[text_of_value(value) for value in row] for row in rows] == case.rows or _same(rows, case)
        return 1

    Cases("csv rows", 0.2).explore(property_, per_example=1)


def test_a_published_csv_file_comes_back_in_each_format(engine: Engine) -> None:
    runs = iter(range(10**9))

    def property_(chance: random.Random) -> int:
        case = csv_case(chance)
        if case.rows is None or "\0" in case.content.decode(_encoding(case)):
            return 1
        run = f"r{next(runs)}"
        # The types of the run before are not to be those of another file.
        engine.publish(
            engine.write(f"file{case.extension}", case.content), run=run, workflow=f"w-{run}", options=case.options
        )
        assert differences(engine, case.header, case.rows, run, f"w-{run}") == []
        return 1

    Cases("csv formats", 0.01).explore(property_, per_example=1)


def _read(connection: duckdb.DuckDBPyConnection, path: Path, case: CsvCase) -> tuple[list[str], list[list[Any]]]:
    source = open_source(connection, [path], None, case.options)
    while True:
        source.begin(connection)
        try:
            table = connection.sql(source.sql, params=source.parameters).to_arrow_table()
        except duckdb.Error as error:
            revised = source.revise(error)
            if revised is None:
                raise
            source = revised
        else:
            # Behind the fields are texts of their cells (`Source.texts`).
            table = table.select(range(len(source.fields)))
            columns = [column.to_pylist() for column in table.columns]
            return table.column_names, [list(row) for row in zip(*columns, strict=True)]


def _same(rows: list[list[Any]], case: CsvCase) -> bool:
    """Floats may be spelled otherwise by Python, as the same number."""
    assert case.rows is not None
    return len(rows) == len(case.rows) and all(
        value == float(cell or "x") if isinstance(value, float) else text_of_value(value) == cell
        for row, wanted in zip(rows, case.rows, strict=True)
        for value, cell in zip(row, wanted, strict=True)
    )


def _encoding(case: CsvCase) -> str:
    if case.options.encoding is not None:
        return case.options.encoding
    return "utf-16" if case.content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _agrees_with_python(case: CsvCase) -> None:
    """The generator's own idea of its file is that of Python's csv module."""
    if case.rows is None or case.options.pad_short_rows:
        return
    header, *rows = python_rows(case, _encoding(case))
    assert header == case.header
    null = case.options.null
    wanted = [[cell or "" for cell in row] for row in case.rows if len(row) > 1 or row[0] is not None or null]
    given = [["" if cell == null else cell for cell in row] for row in rows]
    assert [["" if cell == null else cell for cell in row] for row in wanted] == given or null is not None


def _is_helpful(message: str, path: Path, case: CsvCase) -> None:
    assert re.match(rf"{re.escape(path.name)}, line \d+: ", message), message
    assert case.named in message, message
