"""Ranges that are written in any order come out in the order of their ordinals."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.common.chunk import Chunk
from engine.errors import Cancelled
from engine.execute.file_assembler import FileAssembler
from engine.execute.ordered_sink import OrderedSink

RANGES = st.lists(st.lists(st.binary(max_size=20), max_size=6), min_size=1, max_size=12)


def _run(ranges: list[list[bytes]], workers: int, limit: int, seed: int) -> list[Chunk]:
    """Run ranges like the workers of an export: started in order, written at different speeds."""
    forwarded: list[Chunk] = []
    sink = OrderedSink(FileAssembler(), forwarded.append, count=len(ranges), max_waiting_bytes=limit)
    remaining, lock = iter(enumerate(ranges)), threading.Lock()
    pace = random.Random(seed)
    pauses = [pace.choice([0, 0, 0.0002]) for _ in range(64)]

    def work(worker: int) -> None:
        while True:
            with lock:
                following = next(remaining, None)
            if following is None:
                return
            ordinal, chunks = following
            for index, chunk in enumerate(chunks):
                time.sleep(pauses[(ordinal * 7 + index + worker) % len(pauses)])
                sink.write(ordinal, chunk)
            sink.end(ordinal)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, worker) for worker in range(workers)]
        try:
            for future in futures:
                future.result(timeout=20)
        finally:
            # A sink that hangs fails the test instead of blocking it.
            sink.fail(RuntimeError("over"))
    return forwarded


@settings(max_examples=60)
@given(RANGES, st.integers(1, 5), st.sampled_from([0, 1, 10, 10_000]), st.integers(0, 1000))
def test_any_interleaving_yields_the_concatenation(
    ranges: list[list[bytes]], workers: int, limit: int, seed: int
) -> None:
    assert b"".join(_run(ranges, workers, limit, seed)) == b"".join(chunk for chunks in ranges for chunk in chunks)


def test_bytes_of_the_front_range_are_not_buffered() -> None:
    forwarded: list[Chunk] = []
    sink = OrderedSink(FileAssembler(), forwarded.append, count=2, max_waiting_bytes=0)
    sink.write(0, b"more than may wait")
    assert forwarded == [b"more than may wait"]


def test_a_writer_blocks_at_the_memory_limit_until_its_range_is_at_the_front() -> None:
    forwarded: list[Chunk] = []
    sink = OrderedSink(FileAssembler(), forwarded.append, count=2, max_waiting_bytes=4)
    sink.write(1, b"1234")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sink.write, 1, b"5")
        time.sleep(0.05)
        assert not waiting.done()
        sink.write(0, b"0")
        sink.end(0)
        waiting.result(timeout=10)
    sink.end(1)
    assert b"".join(forwarded) == b"012345"


def test_a_failure_wakes_blocked_writers_and_its_first_reason_is_recorded() -> None:
    sink = OrderedSink(FileAssembler(), lambda _: None, count=2, max_waiting_bytes=0)
    first = ValueError("first")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sink.write, 1, b"x")
        time.sleep(0.02)
        sink.fail(first)
        sink.fail(ValueError("second"))
        with pytest.raises(Cancelled) as raised:
            waiting.result(timeout=10)
    assert sink.failure is first
    assert raised.value.__cause__ is first
    with pytest.raises(Cancelled):
        sink.write(0, b"y")
