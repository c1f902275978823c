"""The files that a publisher names: folders, compressed files and streams become plain files, in order.

A name is the name of one file or folder; only `matching` takes patterns.
"""

import glob
import gzip
import os
import re
import select
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import duckdb
import pyarrow as pa

from engine.common.cancellation import checkpoint
from engine.errors import InvalidInput
from engine.settings import megabytes

_PIECE_BYTES = 1024 * 1024
_PIPE_WAIT_MILLISECONDS = 100
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""Compressions by the first bytes of a file."""
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)
"""A frame of Zstandard without content, as parallel compressors write first (RFC 8878, 3.1.2)."""
_FOREIGN = re.compile(
    rb"(?P<bzip2>BZh[1-9]\x31\x41\x59\x26\x53\x59)|(?P<xz>\xfd7zXZ\0)|(?P<lzma>\x5d\0\0)|(?P<LZ4>\x04\x22\x4d\x18)"
    rb"|(?P<Snappy>\xff\x06\0\0sNaPpY)|(?P<lzop>\x89LZO\0)|(?P<compress>\x1f\x9d)"
)
"""Compressions that are not read."""
_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Pipe:
    """A named pipe, which is waited for: a plain read could not be cancelled. Its bytes can be read once."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def read(self, size: int, /) -> bytes:
        # Before its first writer, a pipe has no event; its end is one.
        while not self._poll.poll(_PIPE_WAIT_MILLISECONDS):
            checkpoint()
        return os.read(self._descriptor, size)

    def close(self) -> None:
        os.close(self._descriptor)


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders by name. Raises InvalidInput for what is not there."""
    for path in paths:
        if path.is_dir():
            yield from _files_in(path)
        elif path.exists():
            yield path
        else:
            raise InvalidInput(f"There is no file {path}.")


def matching(patterns: Sequence[str]) -> list[Path]:
    """The files that match, by name for each pattern. Raises InvalidInput if none does."""
    found: list[Path] = []
    for pattern in patterns:
        matches = [Path(name) for name in sorted(glob.glob(pattern, recursive=True)) if Path(name).is_file()]  # noqa: PTH207  # takes absolute patterns
        if not matches:
            raise InvalidInput(f"No file matches the pattern {pattern}.")
        found += matches
    return found


def unpacked(path: Path, folder: Path, limit_bytes: int) -> Path:
    """The file, or a copy in ``folder`` that is not compressed, under the name without its last suffix.

    A named pipe, such as ``/dev/stdin`` and ``<(command)``, is copied: it is read once. Raises InvalidInput.
    """
    if path.is_fifo():
        path = _piped(path, folder / "pipe", limit_bytes)
    elif not path.is_file() and path.exists():
        raise InvalidInput(f"{path} is no file: it is a device or a socket.")
    compression = _compression_of(path)
    if compression is None:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (path.stem if path.suffix.lower() in _SUFFIXES else path.name)
    try:
        if compression == "gzip":
            with gzip.open(path) as plain:
                spool(plain, target, path.name, limit_bytes)
        else:
            with pa.CompressedInputStream(pa.OSFile(str(path)), compression) as plain:
                spool(plain, target, path.name, limit_bytes)
    except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
        raise InvalidInput(f"The file {path.name} cannot be decompressed as {compression}: {error}.") from error
    if _compression_of(target) is not None:
        raise InvalidInput(f"The file {path.name} is compressed twice: decompress it once.")
    return target


def _piped(path: Path, folder: Path, limit_bytes: int) -> Path:
    folder.mkdir(parents=True)
    pipe = _Pipe(path)
    try:
        spool(pipe, folder / path.name, str(path), limit_bytes)
    finally:
        pipe.close()
    return folder / path.name


def _compression_of(path: Path) -> str | None:
    """The compression of a file; None if it is not compressed. Raises InvalidInput for one that is not read."""
    with _opened(path) as file:
        start = file.read(16)
    foreign = _FOREIGN.match(start)
    if foreign is not None:
        raise InvalidInput(f"{path.name} is compressed by {foreign.lastgroup}: decompress it, or use gzip or zstd.")
    if _SKIPPABLE.match(start):
        return "zstd"
    return next((name for first, name in _COMPRESSED.items() if start.startswith(first)), None)


def spool(source: _Readable, target: Path, name: str, limit_bytes: int) -> None:
    """Copy a stream into a spill file. Raises InvalidInput beyond the limit, and when the disk is full."""
    size = 0
    with target.open("wb") as file:
        while data := source.read(_PIECE_BYTES):
            checkpoint()
            size += len(data)
            if size > limit_bytes:
                raise InvalidInput(
                    f"{name} has more than {limit_bytes / 1_000_000:,.0f} MB when it is read, the most that may be "
                    "spilled: raise TAILRACE_SPILL_LIMIT, or bring it in smaller files."
                )
            try:
                file.write(data)
            except OSError as error:
                raise InvalidInput(f"{name} cannot be copied to the spill folder: {error.strerror}.") from error


def spill_folder_of(connection: duckdb.DuckDBPyConnection) -> tuple[Path, int]:
    """The session's own folder, which goes with it, and the most bytes that may be in it."""
    row = connection.execute(
        "SELECT current_setting('temp_directory'), current_setting('max_temp_directory_size')"
    ).fetchone()
    folder, size = row or ("", "0 bytes")
    number, unit = str(size).split()
    return Path(folder), int(float(number) * _UNITS[unit])


_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def spill_limit_bytes(setting: str) -> int:
    """A limit of the settings, such as ``50GB``, in bytes."""
    return megabytes(setting) * 1_000_000


def _files_in(folder: Path) -> list[Path]:
    files = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            # Marks and checksums that other tools leave beside their files.
            continue
        if path.is_dir():
            raise InvalidInput(f"The folder {folder} has a folder {path.name} in it: name each folder, or use --glob.")
        if path.is_fifo():
            raise InvalidInput(f"The folder {folder} has a pipe {path.name} in it: name each file.")
        files.append(path)
    if not files:
        raise InvalidInput(f"The folder {folder} has no files.")
    return files


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(f"The file {path} cannot be opened: {error.strerror}.") from error
