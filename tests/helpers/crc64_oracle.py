"""CRC-64/NVME in plain Python, by a table of bytes."""

import base64

_POLYNOMIAL = 0x9A6C9329AC4BC9B5
"""Of CRC-64/NVME, with its bits reversed, as the definition of the algorithm has it."""
_ONES = 2**64 - 1


def _entry(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc


_TABLE = [_entry(byte) for byte in range(256)]


def crc64(data: bytes) -> int:
    """The checksum of bytes."""
    crc = _ONES
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ _ONES


def crc64_text(data: bytes) -> str:
    """The checksum as S3 writes it: base64 of 8 bytes, the highest first."""
    return base64.b64encode(crc64(data).to_bytes(8, "big")).decode()
