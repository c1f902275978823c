"""Deflates the XML of a sheet block by block; blocks that follow each other are one deflate stream.

A block travels with its length and CRC-32, from which the zip file gets those of the sheet (RFC 1951, APPNOTE 4.4).
"""

import re
import struct
from dataclasses import dataclass

from isal import isal_zlib

from engine.common.chunk import Chunk

LAST_BLOCK = b"\x03\x00"
"""An empty block that ends a deflate stream."""

_LEVEL = 1
"""Of ISA-L's four, 0 to 3; of the XML of sheets, 2 and 3 make no smaller files."""
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
    stream = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _WINDOW_BITS)
    deflated = stream.compress(xml) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
    return _HEAD.pack(len(xml), isal_zlib.crc32(xml)) + deflated


def read_block(data: Chunk) -> Block:
    """The block that `deflate` made."""
    length, crc = _HEAD.unpack_from(data)
    return Block(memoryview(data)[_HEAD.size :], length, crc)


def append_crc(crc: int, block: Block) -> int:
    """The CRC-32 of a text with that of a block after it."""
    appended: int = isal_zlib.crc32_combine(crc, block.crc, block.length)
    return appended
