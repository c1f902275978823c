"""The logged traceback of an error: its frames and causes, without values of rows."""

import json
import logging

import duckdb
import pyarrow as pa
import pytest
from pydantic import BaseModel

from engine.common.redaction import redacted_traceback
from engine.errors import SourceDamaged
from engine.execute.duckdb_errors import reason_of
from web.telemetry.logs import JsonLines

CELL = "bob@example.com"


class Model(BaseModel):
    """A model with a number."""

    number: int


QUOTING = {
    "duckdb": lambda: duckdb.sql(f"SELECT CAST('{CELL}' AS INT)").fetchall(),
    "arrow": lambda: pa.array([CELL]).cast(pa.int64()),
    "pydantic": lambda: Model.model_validate({"number": CELL}),
    "python": lambda: int(CELL),
    "a dictionary": lambda: dict[str, int]()[CELL],
}


@pytest.mark.parametrize("raising", QUOTING.values(), ids=QUOTING.keys())
def test_an_error_that_quotes_a_value_is_logged_by_its_type(raising: object) -> None:
    assert callable(raising)
    try:
        try:
            raising()
        except Exception as error:
            kind, text = type(error).__name__, str(error)
            raise SourceDamaged("A part of the run cannot be read.") from error
    except SourceDamaged as error:
        logged = redacted_traceback(error)
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", None, (type(error), error, None))
    assert CELL in text
    assert CELL not in logged
    assert kind in logged
    # Messages of the engine's errors contain no values.
    assert logged.endswith("engine.errors.SourceDamaged: A part of the run cannot be read.")
    assert json.loads(JsonLines().format(record))["stack"] == logged


def test_the_members_of_an_exception_group_are_logged() -> None:
    logged = redacted_traceback(ExceptionGroup("two", [OSError("No space left"), ValueError(CELL)]))
    assert "builtins.OSError: No space left" in logged
    assert "builtins.ValueError" in logged
    assert CELL not in logged


def test_cyclic_causes_are_logged_once() -> None:
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first
    assert redacted_traceback(first) == "builtins.OSError: second\nbuiltins.OSError: first"


def test_a_publisher_is_told_the_name_of_a_file_but_not_its_folder() -> None:
    error = duckdb.InvalidInputException(
        'Invalid Input Error: No text in file "/spill/x y/b.parquet": value "/a/b".\nAt'
    )
    assert reason_of(error) == 'No text in file "b.parquet": value "/a/b"'
