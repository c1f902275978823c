"""Streams a request body to a file, decompressed and limited in size."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from engine.errors import Cancelled, InvalidInput, StoreUnavailable

IDLE_SECONDS = 60
"""How long to wait for the next bytes of a body."""
_WRITE_BYTES = 1024 * 1024
_THREADS = anyio.CapacityLimiter(4)
"""Dedicated threads, so that a disk that hangs cannot starve authentication."""
_GZIP = 31
"""The window bits of zlib for gzip; it verifies the checksum."""


@dataclass(frozen=True, slots=True)
class Received:
    """A body in a file. ``size`` and ``sha256`` are those of the file, after decompression."""

    path: Path
    size: int
    sha256: str


async def receive_file(request: Request, path: Path, *, limit_bytes: int, gzip: bool) -> Received:
    """Write the body to ``path``, in constant memory.

    Raises HTTPException 413 above the limit and 408 for a client that stalls, InvalidInput for malformed gzip,
    Cancelled if the client disconnects, or StoreUnavailable if the disk is full.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit_bytes:
        raise _too_large(limit_bytes)
    with path.open("xb") as file:
        writer = _Writer(file, limit_bytes, gzip=gzip)
        try:
            pending = bytearray()
            async for chunk in _chunks(request):
                pending += chunk
                if len(pending) >= _WRITE_BYTES:
                    await anyio.to_thread.run_sync(writer.write, bytes(pending), limiter=_THREADS)
                    pending.clear()
            await anyio.to_thread.run_sync(writer.finish, bytes(pending), limiter=_THREADS)
        except ClientDisconnect as error:
            raise Cancelled("The client disconnected before its body was complete.") from error
        except OSError as error:
            raise StoreUnavailable("The service has no disk space for the body; try again later.") from error
    return Received(path, writer.size, writer.sha256)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise HTTPException(408, f"No data of the body arrived for {IDLE_SECONDS} seconds") from error
        if chunk is None:
            return
        yield chunk


class _Writer:
    """Writes, counts and hashes the bytes of one body."""

    def __init__(self, file: BinaryIO, limit_bytes: int, *, gzip: bool) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._gzip = zlib.decompressobj(_GZIP) if gzip else None
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hash of everything that was written, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Write the next bytes of the body."""
        if self._gzip is None:
            self._write(data)
            return
        try:
            self._decompress(data)
        except zlib.error as error:
            raise InvalidInput("The body is not valid gzip, although its Content-Encoding is gzip.") from error

    def finish(self, data: bytes) -> None:
        """Write the last bytes of the body."""
        self.write(data)
        if self._gzip is not None and not self._gzip.eof:
            raise InvalidInput("The body is truncated: its gzip data is incomplete.")

    def _decompress(self, data: bytes) -> None:
        """Decompress in steps of limited size, so that a small body which expands to gigabytes takes no memory."""
        while data and self._gzip is not None:
            if self._gzip.eof:
                # A gzip file may consist of several members (RFC 1952, section 2.2).
                self._gzip = zlib.decompressobj(_GZIP)
            self._write(self._gzip.decompress(data, _WRITE_BYTES))
            data = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail

    def _write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        self._digest.update(data)
        self._file.write(data)


def _too_large(limit_bytes: int) -> HTTPException:
    return HTTPException(
        413, f"The body is longer than {limit_bytes:,} bytes, the limit that TAILRACE_PUBLISH_LIMIT sets"
    )
