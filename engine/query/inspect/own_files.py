"""Files of an operator beside the published runs: views over data files, and attached databases. All are read-only.

DuckDB reads data files through a file system that cannot write and has no other files. It opens a database itself, so
only before the session is confined.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from engine.common.quoting import identifier, literal
from engine.errors import InvalidInput
from engine.execute.filesystems import ReadOnlyFileSystem

OWN = "own"

READERS = {
    ".csv": "read_csv", ".tsv": "read_csv", ".tab": "read_csv", ".txt": "read_csv",
    ".json": "read_json", ".jsonl": "read_json", ".ndjson": "read_json",
    ".parquet": "read_parquet",
}  # fmt: skip
"""DuckDB's reader by the extension of a file."""

_MAGIC, _MAGIC_OFFSET = b"DUCK", 8
"""What the header of a database has after its checksum."""

_COMPRESSED = frozenset({".gz", ".zst"})


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A data file that becomes the view ``name``. Raises InvalidInput for an unknown extension."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if self._extension not in READERS:
            raise InvalidInput(
                f"{self.path.name} has none of the extensions {', '.join(READERS)}, perhaps followed by .gz or .zst."
            )

    @property
    def url(self) -> str:
        """The path of the file within the session."""
        compression = self.path.suffix.lower() if self.path.suffix.lower() in _COMPRESSED else ""
        return f"{OWN}://{self.name}{self._extension}{compression}"

    @property
    def select(self) -> str:
        """The statement that reads the file."""
        return f"FROM {READERS[self._extension]}({literal(self.url)})"

    @property
    def _extension(self) -> str:
        suffixes = [suffix.lower() for suffix in self.path.suffixes[-2:]]
        if suffixes and suffixes[-1] in _COMPRESSED:
            suffixes.pop()
        return suffixes[-1] if suffixes else ""


@dataclass(frozen=True, slots=True)
class OwnDatabase:
    """A DuckDB database that is attached as ``name``."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class OwnData:
    """What an operator brings into a session."""

    files: tuple[OwnFile, ...] = ()
    databases: tuple[OwnDatabase, ...] = ()


NOTHING = OwnData()


class OwnFileSystem(ReadOnlyFileSystem):
    """``own://{name}.{extension}``: files that were open when the session was opened."""

    protocol = OWN

    def __init__(self, descriptors: Mapping[str, int]) -> None:
        super().__init__(datetime.now(UTC))
        self._descriptors = descriptors

    def isfile(self, path: str) -> bool:
        """Whether it is one of the files."""
        return path in self._descriptors

    def size(self, path: str) -> int:
        """Size in bytes."""
        return os.fstat(self._descriptors[path]).st_size

    def modified(self, path: str) -> datetime:
        """When the file was last changed."""
        return datetime.fromtimestamp(os.fstat(self._descriptors[path]).st_mtime, UTC)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Read bytes of a file. Raises OSError if it has become shorter."""
        read = bytearray()
        while len(read) < length:
            data = os.pread(self._descriptors[path], length - len(read), start + len(read))
            if not data:
                raise OSError(f"{path} has become shorter while it was read")
            read += data
        return bytes(read)


@contextmanager
def open_own_files(files: Iterable[OwnFile]) -> Iterator[OwnFileSystem]:
    """Open the files, and close them at the end. Raises InvalidInput for one that cannot be read."""
    with ExitStack() as stack:
        descriptors: dict[str, int] = {}
        for file in files:
            try:
                # A pipe without a writer must not block; its size is not known, so it is refused below.
                descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError as error:
                raise InvalidInput(f"{file.path} cannot be read: {error.strerror}.") from error
            stack.callback(os.close, descriptor)
            if not file.path.is_file():
                raise InvalidInput(f"{file.path} is not a regular file.")
            descriptors[file.url] = descriptor
        yield OwnFileSystem(descriptors)


def add_own_data(connection: duckdb.DuckDBPyConnection, own: OwnData) -> None:
    """Create the views and attach the databases, before the session is confined. Raises InvalidInput."""
    for file in own.files:
        with _naming(file.name):
            connection.execute(f"CREATE VIEW {identifier(file.name)} AS {file.select}")
    for database in own.databases:
        path = _checked(database.path)
        with _naming(database.name):
            connection.execute(f"ATTACH {literal(str(path))} AS {identifier(database.name)} (READ_ONLY)")


def _checked(path: Path) -> Path:
    """The absolute path of a database, which DuckDB takes neither for a URL nor for a database of another kind."""
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC_OFFSET + len(_MAGIC))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    if head[_MAGIC_OFFSET:] != _MAGIC:
        raise InvalidInput(f"{path} is not a DuckDB database; use --file for a CSV, JSON or Parquet file.")
    return path.resolve()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise InvalidInput(f"{name}: {str(error).splitlines()[0]}") from error
