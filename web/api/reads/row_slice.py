"""Rows cut out of the file of an export while it is read: a page, for which nothing is sorted or filtered again."""

import re
from collections.abc import AsyncIterable, AsyncIterator

from engine.execute.file_assembler import ARRAY_CLOSE, ARRAY_EMPTY

_ALL_BUT_MARKS = bytes(set(range(256)) - set(b'"\n'))
_LINE_END, _MARK = re.compile(rb"\n"), re.compile(rb'["\n]')


async def cut_rows(file: AsyncIterable[bytes], format_name: str, start: int, end: int) -> AsyncIterator[bytes]:
    """The file of the rows ``start <= n < end`` alone, out of a CSV or JSON file that has at least ``end`` rows.

    ``file`` is read no further than to the last of them.
    """
    is_csv = format_name == "csv"
    if not is_csv and start >= end:
        yield ARRAY_EMPTY
        return
    # Record 0 is the header, or the bracket that opens the array.
    records = _Records(quoted=is_csv)
    pending = b""
    async for chunk in file:
        records.take(chunk)
        for first, last in ((0, 1), (start + 1, end + 1)):
            pending += chunk[records.place_of(first) : records.place_of(last)]
        # The last row of an array has no comma behind it.
        held = 0 if is_csv else len(b",\n")
        yield pending[: len(pending) - held]
        pending = pending[len(pending) - held :]
        if records.ended > end:
            break
    yield pending if is_csv else pending.rstrip(b",\n") + ARRAY_CLOSE.rstrip()


class _Records:
    """Finds the records of a file: each ends with a line end, outside of quotes if cells may be ``quoted``."""

    def __init__(self, *, quoted: bool) -> None:
        self._quoted = quoted
        self._chunk = b""
        self._ended_before = self.ended = 0
        self._quote_open_before = self._quote_open = False

    def take(self, chunk: bytes) -> None:
        """Go on to the next bytes of the file; ``ended`` is then the number of records so far."""
        self._chunk, self._ended_before, self._quote_open_before = chunk, self.ended, self._quote_open
        if not self._quoted:
            self.ended += chunk.count(b"\n")
            return
        # Two quotes side by side end what they begin. So few are left, and the bytes are looked at in C.
        pieces = chunk.translate(None, _ALL_BUT_MARKS).replace(b'""', b"").split(b'"')
        self.ended += sum(map(len, pieces[self._quote_open :: 2]))
        self._quote_open ^= len(pieces) % 2 == 0

    def place_of(self, record: int) -> int:
        """Where in the chunk that record begins; 0 or its length if that is before or after the chunk."""
        left = record - self._ended_before
        if left <= 0:
            return 0
        if record > self.ended:
            return len(self._chunk)
        is_open = self._quote_open_before
        for found in (_MARK if self._quoted else _LINE_END).finditer(self._chunk):
            if found[0] == b'"':
                is_open = not is_open
            elif not is_open:
                left -= 1
                if not left:
                    return found.end()
        raise AssertionError("a record that was counted has an end")
