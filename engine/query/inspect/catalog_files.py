"""The rows of the views as files that DuckDB opens when a statement reads them."""

from datetime import UTC, datetime

from engine.errors import StoreError
from engine.execute.filesystems import ReadOnlyFileSystem
from engine.query.inspect.snapshot import Snapshot

CATALOG = "catalog"


class CatalogFileSystem(ReadOnlyFileSystem):
    """``catalog://{kind}``: the rows of a kind in a snapshot, one JSON object a line."""

    protocol = CATALOG

    def __init__(self, snapshot: Snapshot, kinds: frozenset[str]) -> None:
        super().__init__(datetime.now(UTC))
        self._snapshot = snapshot
        self._kinds = kinds
        self._files: dict[str, bytes] = {}
        self.failure: StoreError | None = None
        """Why a read failed: DuckDB reports only the text of an error."""

    def isfile(self, path: str) -> bool:
        """Whether there are rows of that kind."""
        return path.partition("://")[2] in self._kinds

    def size(self, path: str) -> int:
        """Size in bytes."""
        return len(self._content(path))

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Read bytes of the lines."""
        return self._content(path)[start : start + length]

    def forget(self) -> None:
        """Read the rows again when they are next needed."""
        self._files.clear()
        self._snapshot.forget()

    def _content(self, path: str) -> bytes:
        kind = path.partition("://")[2]
        if kind not in self._kinds:
            raise FileNotFoundError("there is no such file")
        if kind not in self._files:
            try:
                self._files[kind] = b"".join(b"%b\n" % line.encode() for line in self._snapshot.lines(kind))
            except StoreError as error:
                self.failure = error
                raise
        return self._files[kind]
