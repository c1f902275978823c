"""The files of a run as DuckDB opens them: by path where they are local, otherwise through a file system."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from fsspec import AbstractFileSystem

from engine.catalog.manifest import Part
from engine.common.table_functions import exact_path
from engine.execute.filesystems import PART, STAGE, PartFileSystem
from engine.stores.port import ObjectStore


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Parts of one run.

    ``others`` are further file systems that statements may read, and ``other_names`` the allowed paths in them.
    """

    store: ObjectStore
    parts: Sequence[Part]
    published_at: datetime
    others: Sequence[AbstractFileSystem] = ()
    other_names: Sequence[str] = ()
    through_store: bool = False
    """Whether parts that are local files are read through the store, too: see `engine.execute.warm_instances`."""
    at_once: Collection[str] = ()
    """Keys of parts that are read through the store entirely, in one read each."""

    def names(self, parts: Sequence[Part]) -> list[str]:
        """The paths at which DuckDB opens these parts."""
        if self.through_store:
            return [f"{PART}://{part.key}" for part in parts]
        return [source_of(self.store, part.key) for part in parts]

    @property
    def allowed(self) -> list[str]:
        """All paths that may be read."""
        return [*self.names(self.parts), *self.other_names]

    def file_system(self) -> PartFileSystem:
        """A file system for the parts that are not local files."""
        return PartFileSystem(self.store, {part.key: part for part in self.parts}, self.published_at, self.at_once)


def source_of(store: ObjectStore, key: str) -> str:
    """The path at which DuckDB opens a part: a local file, or a URL of `PartFileSystem`."""
    path = store.local_path(key)
    return f"{PART}://{key}" if path is None else exact_path(path)


def target_of(ordinal: int) -> str:
    """The path to which a COPY writes the range with that ordinal."""
    return f"{STAGE}://{ordinal}"
