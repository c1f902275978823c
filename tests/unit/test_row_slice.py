"""Rows cut out of files that come in chunks of any size."""

import asyncio
import json
from collections.abc import AsyncIterator

from web.api.reads.row_slice import cut_rows

CELLS = ["", "a", 'quoted "twice"', "\n", '"', '""\n""', "two\nlines\n", ',\n"', "é", "[\n\t"]
CSV_ROWS = ['{},"{}",{}\n'.format(n, cell.replace('"', '""'), n / 7) for n, cell in enumerate(CELLS)]
CSV_HEADER = 'n,"a ""name""\n of two lines",x\n'
JSON_ROWS = [json.dumps({"n": n, "text": cell}, ensure_ascii=False) for n, cell in enumerate(CELLS)]


def csv_of(rows: list[str]) -> bytes:
    return (CSV_HEADER + "".join(rows)).encode()


def json_of(rows: list[str]) -> bytes:
    """As DuckDB writes it, but for an array without rows."""
    return ("[\n\t" + ",\n\t".join(rows) + "\n]" if rows else "[]").encode()


def cut(file: bytes, format_name: str, start: int, end: int, size: int) -> tuple[bytes, int]:
    """The rows, and how many bytes were read for them."""
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for place in range(0, len(file), size):
            read = place + size
            yield file[place : place + size]
            # A stream of a file says so when a chunk was sent.
            yield b""

    async def collected() -> bytes:
        return b"".join([piece async for piece in cut_rows(chunks(), format_name, start, end)])

    return asyncio.run(collected()), read


def test_the_rows_are_the_file_of_these_rows_alone() -> None:
    for format_name, write, rows in (("csv", csv_of, CSV_ROWS), ("json", json_of, JSON_ROWS)):
        file = write(rows)
        for size in (1, 2, 3, 7, 40, len(file)):
            for start in range(len(rows) + 1):
                for end in range(start, len(rows) + 1):
                    found, _ = cut(file, format_name, start, end, size)
                    assert found == write(rows[start:end]), (format_name, size, start, end)
        assert cut(write([]), format_name, 0, 0, 3)[0] == write([])


def test_the_file_is_read_no_further_than_to_the_last_row() -> None:
    assert cut(csv_of(CSV_ROWS), "csv", 0, 2, 1)[1] == len(csv_of(CSV_ROWS[:2]))
    assert cut(json_of(JSON_ROWS), "json", 0, 2, 1)[1] == len(json_of(JSON_ROWS[:2])) - len("]") + len(",")
