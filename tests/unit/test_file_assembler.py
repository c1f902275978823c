"""Files of ranges joined into one file."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.execute.file_assembler import ArrayAssembler, FileAssembler, ParquetAssembler

VALUES = st.one_of(st.none(), st.integers(), st.text(), st.sampled_from(["\n]\n", "[\n\t", "]", "},\n\t{"]))
ROWS = st.dictionaries(st.text(max_size=3), VALUES, max_size=3)
RANGES = st.lists(st.lists(ROWS, max_size=4), min_size=1, max_size=5)


def _written(rows: list[dict[str, Any]]) -> bytes:
    """A range as DuckDB's JSON writer spells it."""
    return ("[\n\t" + ",\n\t".join(json.dumps(row) for row in rows) + "\n]\n").encode()


def _framed(assembler: FileAssembler, files: list[bytes], chunks: list[int]) -> bytes:
    """Every file in chunks of those lengths, over and over."""
    result = b""
    turn = 0
    for file in files:
        while file:
            length = chunks[turn % len(chunks)]
            turn += 1
            result += b"".join(assembler.feed(memoryview(file)[:length]))
            file = file[length:]
        result += b"".join(assembler.end_range())
    return result + b"".join(assembler.finish())


@given(RANGES, st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_arrays_of_ranges_are_one_array_under_any_chunking(
    ranges: list[list[dict[str, Any]]], chunks: list[int]
) -> None:
    files = [_written(rows) for rows in ranges]
    framed = _framed(ArrayAssembler(), files, chunks)
    rows = [row for rows in ranges for row in rows]
    assert json.loads(framed) == rows
    assert framed == (_written(rows).rstrip(b"\n") if rows else b"[]")


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.integers(1, 60), st.sampled_from([b"", b"head"]))
def test_plain_ranges_follow_each_other_behind_one_head(files: list[bytes], chunk: int, head: bytes) -> None:
    joined = b"".join(files)
    assert _framed(FileAssembler(head), files, [chunk]) == (head + joined if joined else b"")


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=300), min_size=1, max_size=4),
    st.lists(st.integers(1, 700), min_size=1, max_size=5),
)
def test_parquet_files_of_ranges_are_one_file_under_any_chunking(ranges: list[list[int]], chunks: list[int]) -> None:
    files = []
    for numbers in ranges:
        file = io.BytesIO()
        pq.write_table(pa.table({"n": pa.array(numbers, pa.int64())}), file, row_group_size=100)
        files.append(file.getvalue())
    joined = pq.ParquetFile(io.BytesIO(_framed(ParquetAssembler(), files, chunks)))
    assert joined.read()["n"].to_pylist() == [number for numbers in ranges for number in numbers]
    assert joined.num_row_groups == sum(pq.ParquetFile(io.BytesIO(file)).num_row_groups for file in files)


def test_an_array_that_does_not_end_is_noticed() -> None:
    assembler = ArrayAssembler()
    assembler.feed(b'[\n\t{"a": 1},\n\t{"a"')
    with pytest.raises(AssertionError):
        assembler.end_range()
