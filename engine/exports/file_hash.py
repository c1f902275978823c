"""Compares the bytes of a file with the hash that was recorded: its SHA-256, or its CRC-64 where it has no SHA-256."""

import hashlib

from engine.stores.crc64 import as_text, crc64nvme


class FileHash:
    """Takes the bytes of a file in order. ``sha256`` and ``checksum`` (CRC-64/NVME) are as they were recorded.

    Without a ``sha256``, `update` raises InvalidInput if the package awscrt is missing.
    """

    def __init__(self, sha256: str | None, checksum: str | None = None) -> None:
        self._wanted = (sha256, checksum)
        self._sha256 = None if sha256 is None else hashlib.sha256()
        self._crc64 = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._sha256 is not None:
            self._sha256.update(data)
        else:
            self._crc64 = crc64nvme(data, self._crc64)

    @property
    def matches(self) -> bool:
        """Whether the bytes so far are those of the file."""
        sha256, checksum = self._wanted
        if self._sha256 is not None:
            return self._sha256.hexdigest() == sha256
        return as_text(self._crc64) == checksum
