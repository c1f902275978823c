"""What is written into a pipe arrives as it was, and nobody waits for a side that is not there."""

import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.execute.fifo import open_pipe


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "pipe"]


@given(st.lists(st.integers(1, 3_000_000), max_size=4))
def test_all_of_it_arrives_in_order(lengths: list[int]) -> None:
    written = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    taken: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        with open_pipe(Path(folder)) as pipe, pipe.drained(taken.append), pipe.path.open("wb", buffering=0) as file:
            for data in written:
                file.write(data)
        assert list(Path(folder).iterdir()) == []
    assert b"".join(taken) == b"".join(written)


def test_whoever_takes_may_refuse(tmp_path: Path) -> None:
    taken = []

    def refuse(data: bytes) -> None:
        taken.append(data)
        raise ValueError("no")

    def write(path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            for _ in range(100):
                file.write(b"x" * 1_000_000)

    with open_pipe(tmp_path) as pipe, pipe.drained(refuse), pytest.raises(BrokenPipeError):
        write(pipe.path)
    assert len(taken) == 1
    assert _threads() == []


def test_a_writer_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    taken: list[bytes] = []
    with open_pipe(tmp_path) as pipe, pytest.raises(LookupError), pipe.drained(taken.append):
        raise LookupError("it failed before")
    assert taken == []
    assert _threads() == []
    assert list(tmp_path.iterdir()) == []
