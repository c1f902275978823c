"""Bytes written to a named pipe arrive unchanged, and neither side waits for one that is missing."""

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
def test_all_bytes_arrive_in_order(lengths: list[int]) -> None:
    written = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    consumed: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        with open_pipe(Path(folder)) as pipe, pipe.draining(consumed.append), pipe.path.open("wb", buffering=0) as file:
            for data in written:
                file.write(data)
        assert list(Path(folder).iterdir()) == []
    assert b"".join(consumed) == b"".join(written)


def test_a_consumer_that_raises_breaks_the_pipe(tmp_path: Path) -> None:
    consumed = []

    def fail(data: bytes) -> None:
        consumed.append(data)
        raise ValueError("no")

    def write(path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            for _ in range(100):
                file.write(b"x" * 1_000_000)

    with open_pipe(tmp_path) as pipe, pipe.draining(fail), pytest.raises(BrokenPipeError):
        write(pipe.path)
    assert len(consumed) == 1
    assert _threads() == []


def test_leaving_does_not_wait_for_a_writer_that_never_opened_the_pipe(tmp_path: Path) -> None:
    consumed: list[bytes] = []
    with open_pipe(tmp_path) as pipe, pytest.raises(LookupError), pipe.draining(consumed.append):
        raise LookupError("failed before opening")
    assert consumed == []
    assert _threads() == []
    assert list(tmp_path.iterdir()) == []
