"""An error of a task reaches the caller through other processes."""

import pickle

import duckdb
import pytest

from engine.common.redaction import redacted_traceback
from engine.errors import Cancelled, EngineError, LimitExceeded, SourceDamaged, StoreUnavailable
from engine.runners.ray import worker
from engine.runners.ray.messages import Failure


@pytest.mark.parametrize("error", [StoreUnavailable("s"), SourceDamaged("d"), LimitExceeded("l"), Cancelled("c")])
def test_an_error_of_a_task_is_restored(error: EngineError) -> None:
    back = worker.error_of(pickle.loads(pickle.dumps(worker.failure_of(error))))
    assert (type(back), str(back)) == (type(error), str(error))


def test_values_in_error_messages_stay_in_the_task() -> None:
    cell = "bob@example.com"
    with pytest.raises(duckdb.ConversionException, match=cell) as found:
        duckdb.sql(f"SELECT CAST('{cell}' AS INT)").fetchall()
    damaged = SourceDamaged("A part of the run cannot be read.")
    damaged.__cause__ = found.value
    for error in (damaged, found.value):
        # From the task to the driver, then to the service.
        back = worker.error_of(worker.failure_of(worker.error_of(worker.failure_of(error))))
        assert cell not in redacted_traceback(back)
        assert "ConversionException" in redacted_traceback(back)


def test_an_unexpected_error_has_no_message_for_callers() -> None:
    back = worker.error_of(worker.failure_of(KeyError("a secret path")))
    assert type(back) is RuntimeError
    assert isinstance(worker.error_of(Failure("Exception", "x", {})), RuntimeError)
