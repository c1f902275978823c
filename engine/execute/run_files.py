"""The files of a run as DuckDB opens them: by path where they are local, else through a file system of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fsspec import AbstractFileSystem

from engine.catalog.manifest import Part
from engine.common.table_functions import exact_path
from engine.execute.filesystems import PART, STAGE, PartFileSystem
from engine.stores.port import ObjectStore


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Parts of one run that were published at that moment.

    ``others`` are more file systems that statements may read, and ``other_names`` the names in them that are allowed.
    """

    store: ObjectStore
    parts: Sequence[Part]
    published_at: datetime
    others: Sequence[AbstractFileSystem] = ()
    other_names: Sequence[str] = ()

    def names(self, parts: Sequence[Part]) -> list[str]:
        """What DuckDB opens for these parts."""
        return [source_of(self.store, part.key) for part in parts]

    @property
    def allowed(self) -> list[str]:
        """All that may be read."""
        return [*self.names(self.parts), *self.other_names]

    def file_system(self) -> PartFileSystem:
        """The parts as DuckDB reads them where they are not local files."""
        return PartFileSystem(self.store, {part.key: part for part in self.parts}, self.published_at)


def source_of(store: ObjectStore, key: str) -> str:
    """What DuckDB opens for a part: its path, or a URL that leads to the store."""
    path = store.local_path(key)
    return f"{PART}://{key}" if path is None else exact_path(path)


def target_of(ordinal: int) -> str:
    """What DuckDB writes for a range."""
    return f"{STAGE}://{ordinal}"
