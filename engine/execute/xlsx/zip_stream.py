"""Writes a zip file from its beginning to its end (PKWARE's APPNOTE.TXT, 6.3.10).

Sizes that are not known before an entry follow it. The fields of zip64 are written only where a size or an offset needs
them: Excel offers to repair files that have them without need. All entries have the same date, so that equal content
makes equal bytes.
"""

import struct
from dataclasses import dataclass
from zlib import crc32

from engine.execute.xlsx.deflate import Block, append_crc

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_DESCRIPTOR = struct.Struct("<4sIII")
_DESCRIPTOR_64 = struct.Struct("<4sIQQ")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_EXTRA_64 = struct.Struct("<HHQQQ")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")

_MAX_32 = 0xFFFFFFFF
"""Says that zip64 has the value."""
_VERSION, _VERSION_64 = 20, 45
_STORED, _DEFLATED = 0, 8
_SIZES_FOLLOW = 0x0008
_TIME, _DATE = 0, 0x0021
"""Midnight of 1 January 1980, the first moment that a zip file can have."""


@dataclass(slots=True)
class _Entry:
    name: bytes
    offset: int
    method: int
    flags: int = 0
    crc: int = 0
    size: int = 0
    deflated: int = 0

    @property
    def is_large(self) -> bool:
        return max(self.size, self.deflated, self.offset) >= _MAX_32


class ZipStream:
    """Returns the bytes of a zip file in their order. An entry that was opened is the last one until it is closed."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._size = 0

    def stored(self, name: str, content: bytes) -> bytes:
        """An entry that is not compressed; the content is small."""
        entry = _Entry(name.encode(), self._size, _STORED, crc=crc32(content), size=len(content), deflated=len(content))
        return self._written(self._header(entry) + content)

    def opened(self, name: str) -> bytes:
        """The beginning of a deflated entry."""
        return self._written(self._header(_Entry(name.encode(), self._size, _DEFLATED, _SIZES_FOLLOW)))

    def add(self, block: Block) -> None:
        """Count a block, which the caller writes."""
        entry = self._entries[-1]
        entry.crc = append_crc(entry.crc, block)
        entry.size += block.length
        entry.deflated += len(block.data)
        self._size += len(block.data)

    def closed(self) -> bytes:
        """The end of the entry."""
        entry = self._entries[-1]
        layout = _DESCRIPTOR_64 if entry.is_large else _DESCRIPTOR
        return self._written(layout.pack(b"PK\x07\x08", entry.crc, entry.deflated, entry.size))

    def directory(self) -> bytes:
        """The end of the file."""
        start = self._size
        entries = b"".join(map(_central, self._entries))
        count, end = len(self._entries), b""
        if start + len(entries) >= _MAX_32:
            end = _END_64.pack(
                b"PK\x06\x06", _END_64.size - 12, _VERSION_64, _VERSION_64, 0, 0, count, count, len(entries), start
            )
            end += _LOCATOR_64.pack(b"PK\x06\x07", 0, start + len(entries), 1)
        last = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(entries), min(start, _MAX_32), 0)
        return self._written(entries + end + last)

    def _header(self, entry: _Entry) -> bytes:
        self._entries.append(entry)
        sizes = (0, 0, 0) if entry.flags & _SIZES_FOLLOW else (entry.crc, entry.deflated, entry.size)
        head = (b"PK\x03\x04", _VERSION, entry.flags, entry.method, _TIME, _DATE)
        return _LOCAL.pack(*head, *sizes, len(entry.name), 0) + entry.name

    def _written(self, data: bytes) -> bytes:
        self._size += len(data)
        return data


def _central(entry: _Entry) -> bytes:
    version, extra = _VERSION, b""
    deflated, size, offset = entry.deflated, entry.size, entry.offset
    if entry.is_large:
        version, extra = _VERSION_64, _EXTRA_64.pack(1, _EXTRA_64.size - 4, size, deflated, offset)
        deflated = size = offset = _MAX_32
    head = (b"PK\x01\x02", version, version, entry.flags, entry.method, _TIME, _DATE, entry.crc, deflated, size)
    return _CENTRAL.pack(*head, len(entry.name), len(extra), 0, 0, 0, 0, offset) + entry.name + extra
