"""Deflates the XML of a sheet block by block; blocks that follow each other are one deflate stream.

A block travels with its length and CRC-32, from which the zip file gets those of the sheet (RFC 1951, APPNOTE 4.4).
"""

import re
import struct
from dataclasses import dataclass

from zlib_ng import zlib_ng

from engine.common.chunk import Chunk

LAST_BLOCK = b"\x03\x00"
"""An empty block that ends a deflate stream."""

_LEVEL = 2
"""314 MB/s of the XML of sheets at a ratio of 7.88, where level 1 has 490 MB/s at 5.79 and level 3 175 MB/s at 8.61."""
_WINDOW_BITS = -15
"""A window of 32 KiB, without header and checksum."""
_HEAD = struct.Struct("<II")
_CONTROLS = bytes(range(32))
_CONTROL = re.compile(b"[" + re.escape(_CONTROLS) + b"]")


@dataclass(frozen=True, slots=True)
class Block:
    """Deflated XML, with the length and the CRC-32 of the XML."""

    data: Chunk
    length: int
    crc: int


def deflate(xml: bytes) -> bytes:
    """A block, whose rest is not the end of the stream; `read_block` reads it.

    The XML has no byte below 32 but for control characters that it must not have: they are escaped here.
    """
    # Ten times as fast as a search.
    if len(xml.translate(None, _CONTROLS)) < len(xml):
        xml = _CONTROL.sub(lambda found: b"_x%04X_" % found[0][0], xml)
    stream = zlib_ng.compressobj(_LEVEL, zlib_ng.DEFLATED, _WINDOW_BITS)
    deflated = stream.compress(xml) + stream.flush(zlib_ng.Z_SYNC_FLUSH)
    return _HEAD.pack(len(xml), zlib_ng.crc32(xml)) + deflated


def read_block(data: Chunk) -> Block:
    """The block that `deflate` made."""
    length, crc = _HEAD.unpack_from(data)
    return Block(memoryview(data)[_HEAD.size :], length, crc)


def append_crc(crc: int, block: Block) -> int:
    """The CRC-32 of a text with that of a block after it."""
    appended: int = zlib_ng.crc32_combine(crc, block.crc, block.length)
    return appended
