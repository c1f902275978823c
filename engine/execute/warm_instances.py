"""DuckDB instances that stay open and serve small exports, one after another.

Opening, fencing and closing an instance takes longer than a small COPY. These run only statements of ours, and open
nothing but ``part://`` and ``stage://`` paths, of which those of the export that is served exist. So the allow-list of
an export is checked by two Python file systems instead of DuckDB, whose list cannot change once it is locked. What
exports also share, one after another, is an instance's memory and catalog; the statements create nothing in it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import duckdb
from fsspec import AbstractFileSystem

from engine.execute.filesystems import PART, STAGE, PartFileSystem, StageFileSystem
from engine.execute.instance_pool import InstancePool
from engine.execute.session import fence, limits_of
from engine.settings import DuckDBSettings

MAX_USES = 500
"""Exports of one instance, so that nothing that one leaves behind can add up."""

MAX_IDLE = 3
"""As many as exports run at the same time by default."""


class WarmInstances:
    """Locked instances taken from ``pool``, with the limits of one export each. Safe to use from many threads.

    At most `MAX_IDLE` are idle, and none once the pool has stopped. An instance serves one export at a time, at most
    `MAX_USES`, and none after a failed or cancelled one. It does not spill, so it is not for sorts.
    """

    def __init__(self, pool: InstancePool, settings: DuckDBSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._lock = Lock()
        self._idle: list[_WarmInstance] = []
        pool.at_end(self._close_idle)

    @contextmanager
    def session(
        self, stage: StageFileSystem, parts: PartFileSystem, allowed: Collection[str]
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that may open the ``allowed`` paths of these file systems, until the end of the block."""
        instance = self._take()
        try:
            with instance.serving(stage, parts, frozenset(allowed)):
                yield instance.connection
        except BaseException:
            self._pool.release(instance.connection)
            raise
        self._give_back(instance)

    @property
    def idle(self) -> int:
        """Number of instances that wait for an export."""
        return len(self._idle)

    def _take(self) -> "_WarmInstance":
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _WarmInstance(self._pool.acquire(), self._settings)

    def _give_back(self, instance: "_WarmInstance") -> None:
        with self._lock:
            if self._pool.is_running and instance.uses < MAX_USES and len(self._idle) < MAX_IDLE:
                self._idle.append(instance)
                return
        self._pool.release(instance.connection)

    def _close_idle(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().connection.close()


class _WarmInstance:
    """An instance, and the number of exports that it has served."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: DuckDBSettings) -> None:
        self.connection = connection
        self.uses = 0
        self._stage, self._parts = _Current(STAGE), _Current(PART)
        for file_system in (self._stage, self._parts):
            connection.register_filesystem(file_system)
        fences = fence((), folders=[f"{STAGE}://", f"{PART}://"])
        connection.execute("; ".join([*limits_of(settings, threads=1), *fences]))

    @contextmanager
    def serving(self, stage: StageFileSystem, parts: PartFileSystem, allowed: frozenset[str]) -> Iterator[None]:
        """See `WarmInstances.session`."""
        self.uses += 1
        self._stage.serve(stage, allowed)
        self._parts.serve(parts, allowed)
        try:
            yield
        finally:
            self._stage.serve(None)
            self._parts.serve(None)


class _Current(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """The file system of the export that is served: an instance keeps what is registered until it is closed."""

    cachable = False

    def __init__(self, protocol: str) -> None:
        super().__init__()
        self.protocol = protocol
        self.serve(None)

    def serve(self, files: AbstractFileSystem | None, allowed: frozenset[str] = frozenset()) -> None:
        """Open the ``allowed`` paths of a file system from now on, and no others."""
        self._files, self._allowed = files, allowed

    def open(self, path: str, mode: str = "rb", **_: object) -> Any:
        """Open an allowed file."""
        return self._having(path).open(path, mode)

    def isfile(self, path: str) -> Any:
        """Whether an allowed file exists."""
        return self._having(path).isfile(path)

    def isdir(self, path: str) -> Any:
        """Whether an allowed path is a folder."""
        return self._having(path).isdir(path)

    def glob(self, path: str, **_: object) -> Any:
        """The allowed path itself: names are not patterns."""
        return self._having(path).glob(path)

    def size(self, path: str) -> Any:
        """Size of an allowed file in bytes."""
        return self._having(path).size(path)

    def modified(self, path: str) -> Any:
        """When an allowed file was modified."""
        return self._having(path).modified(path)

    def _having(self, path: str) -> AbstractFileSystem:
        if self._files is None or path not in self._allowed:
            raise PermissionError("the path is not one of the export")
        return self._files
