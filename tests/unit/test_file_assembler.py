"""Files of single ranges assembled into one file."""

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
    """A range in the format of DuckDB's JSON writer."""
    return ("[\n\t" + ",\n\t".join(json.dumps(row) for row in rows) + "\n]\n").encode()


def _assembled(assembler: FileAssembler, files: list[bytes], chunks: list[int]) -> bytes:
    """Feed every file in chunks of these lengths, cycling."""
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
def test_json_arrays_of_ranges_become_one_array_with_any_chunk_sizes(
    ranges: list[list[dict[str, Any]]], chunks: list[int]
) -> None:
    files = [_written(rows) for rows in ranges]
    assembled = _assembled(ArrayAssembler(), files, chunks)
    rows = [row for rows in ranges for row in rows]
    assert json.loads(assembled) == rows
    assert assembled == (_written(rows).rstrip(b"\n") if rows else b"[]")


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.integers(1, 60), st.sampled_from([b"", b"head"]))
def test_ranges_of_lines_are_concatenated_after_one_head(files: list[bytes], chunk: int, head: bytes) -> None:
    joined = b"".join(files)
    assert _assembled(FileAssembler(head), files, [chunk]) == (head + joined if joined else b"")


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=300), min_size=1, max_size=4),
    st.lists(st.integers(1, 700), min_size=1, max_size=5),
)
def test_parquet_files_of_ranges_become_one_file_with_any_chunk_sizes(
    ranges: list[list[int]], chunks: list[int]
) -> None:
    files = []
    for numbers in ranges:
        file = io.BytesIO()
        pq.write_table(pa.table({"n": pa.array(numbers, pa.int64())}), file, row_group_size=100)
        files.append(file.getvalue())
    joined = pq.ParquetFile(io.BytesIO(_assembled(ParquetAssembler(), files, chunks)))
    assert joined.read()["n"].to_pylist() == [number for numbers in ranges for number in numbers]
    assert joined.num_row_groups == sum(pq.ParquetFile(io.BytesIO(file)).num_row_groups for file in files)


def test_a_truncated_array_is_refused() -> None:
    assembler = ArrayAssembler()
    assembler.feed(b'[\n\t{"a": 1},\n\t{"a"')
    with pytest.raises(AssertionError):
        assembler.end_range()
