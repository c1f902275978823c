"""What views show of the documents of a store, kept by ETag, so that only documents that changed are read again."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

from engine.common.concurrency import read_all
from engine.common.private_files import FILE_MODE, make_folders
from engine.stores.port import ObjectInfo

_VERSION = 4
"""Counted up when rows of views change, so that rows of an older version are not used."""

_TIMEOUT_SECONDS = 2
_BATCH = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS documents (key TEXT PRIMARY KEY, etag TEXT NOT NULL, damage TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    kind TEXT NOT NULL, place TEXT NOT NULL, lines TEXT NOT NULL, PRIMARY KEY (kind, place)
) WITHOUT ROWID;
"""

Rows = Iterable[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Entry:
    """The rows of each kind that a document gives, or a sentence that says how it is damaged."""

    rows: Mapping[str, Rows] = field(default_factory=dict)
    damage: str | None = None


class DocumentIndex:
    """Rows of documents, as lines of JSON; in memory if there is no file for them or it cannot be used.

    The file is a cache: it may be removed at any time, and several processes may use it. Methods are called by one
    thread at a time.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path | None) -> Self:
        """The index in a private file, which is replaced if it is not a database; None is one in memory."""
        if path is not None:
            with suppress(OSError, sqlite3.Error):
                try:
                    return cls(_opened(path))
                except sqlite3.DatabaseError as error:
                    if isinstance(error, sqlite3.OperationalError):
                        raise
                    path.unlink()
                    return cls(_opened(path))
        return cls(_in_memory())

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def refresh(self, listed: Sequence[ObjectInfo], read: Callable[[ObjectInfo], Entry | None]) -> list[str]:
        """Make the index that of these documents, and return the damages. Reads those that are new or have changed.

        ``read`` is called by several threads; None is a document that is gone. Its exceptions end the refresh.
        """
        try:
            return self._refresh(listed, read)
        except sqlite3.Error:
            # The disk is full, another process has the file for long, or it is damaged: do without it.
            self.close()
            self._database = _in_memory()
            return self._refresh(listed, read)

    def lines(self, kind: str) -> Iterator[str]:
        """The rows of a kind, each a JSON object, ordered by the folders of their documents."""
        for (lines,) in self._database.execute("SELECT lines FROM rows WHERE kind = ? ORDER BY place", (kind,)):
            yield from lines.splitlines()

    def _refresh(self, listed: Sequence[ObjectInfo], read: Callable[[ObjectInfo], Entry | None]) -> list[str]:
        known: dict[str, str | None] = {
            # What is damaged is read again: it may have been a refused access, which does not change the ETag.
            key: None if damage else etag
            for key, etag, damage in self._database.execute("SELECT key, etag, damage FROM documents")
        }
        changed = [info for info in listed if known.get(info.key) != info.etag]
        gone = known.keys() - {info.key for info in listed} | {info.key for info in changed if info.key in known}

        def entry_of(info: ObjectInfo) -> tuple[ObjectInfo, Entry] | None:
            entry = read(info)
            return None if entry is None else (info, entry)

        if gone:
            # By the whole primary key: for each place alone, it would read all rows.
            kinds = self._database.execute("SELECT DISTINCT kind FROM rows").fetchall()
            with self._database:
                self._database.executemany("DELETE FROM documents WHERE key = ?", [(key,) for key in gone])
                self._database.executemany(
                    "DELETE FROM rows WHERE kind = ? AND place = ?",
                    [(kind, _place(key)) for (kind,) in kinds for key in gone],
                )
        for start in range(0, len(changed), _BATCH):
            with self._database:
                for info, entry in read_all(entry_of, changed[start : start + _BATCH]):
                    self._add(info, entry)
        return [damage for (damage,) in self._database.execute(
            "SELECT damage FROM documents WHERE damage IS NOT NULL ORDER BY damage"
        )]  # fmt: skip

    def _add(self, info: ObjectInfo, entry: Entry) -> None:
        self._database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (info.key, info.etag, entry.damage))
        self._database.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
            [(kind, _place(info.key), "\n".join(json.dumps(row) for row in rows)) for kind, rows in entry.rows.items()],
        )


def _place(key: str) -> str:
    """What orders documents by their folders: by keys, those of ``a-b`` would come before those of ``a``."""
    return key.replace("/", "\x01")


def index_path(location: str) -> Path | None:
    """Where the index of a store's documents is kept between sessions: in the user's folder for caches, if any."""
    configured, home = (Path(os.environ.get(name, "")) for name in ("XDG_CACHE_HOME", "HOME"))
    base = configured if configured.is_absolute() else home / ".cache"
    name = sha256(location.encode()).hexdigest()[:32]
    return base / "tailrace" / f"{name}-{_VERSION}.sqlite" if base.is_absolute() else None


def _in_memory() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.executescript(_TABLES)
    return database


def _opened(path: Path) -> sqlite3.Connection:
    make_folders(path.parent)
    # SQLite would create it with the modes of the umask.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    database = sqlite3.connect(path, timeout=_TIMEOUT_SECONDS, check_same_thread=False)
    try:
        # A cache needs no durability: after a crash of the machine it is replaced.
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(_TABLES)
    except sqlite3.Error:
        database.close()
        raise
    return database
