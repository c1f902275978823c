"""The object store port: what the engine needs of a place for bytes.

Two adapters (`engine.stores.local.store`, `engine.stores.azure.store`) pass one suite,
``tests/contract/test_stores.py``. Keys are relative, ``/``-separated, made by the engine from checked ids only. Every
method may be called from any thread. All raise `StoreUnavailable` when the store cannot be reached after bounded
retries.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One version of one object. ``etag`` changes with every version and is opaque; ``metadata`` is ASCII text."""

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadHeaders:
    """What a store is to say of an object that it serves itself, instead of what was stored with it."""

    content_type: str
    content_disposition: str
    cache_control: str


class ReadUrls(Protocol):
    """URLs by which anyone may read one object straight from the store, for a short time."""

    def read_url(self, key: str, *, expires: datetime, headers: ReadHeaders) -> str:
        """A URL for that object alone, for reading alone, until ``expires`` (cut to the second).

        The object need not be there. Raises StoreUnavailable if the store has to be asked and does not answer.
        """


class Staging(Protocol):
    """Where blocks of an upload go, in the process that began it or in another one that joined."""

    parallel_blocks: int
    """How many `stage` calls at once are worth it (1: the store gains nothing from more)."""

    readable: bool
    """Whether `Upload.block` can read a staged block; if not, whoever needs its bytes later has to carry them."""

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        """Store one block and return its block id, which no other process makes. The data may change afterwards.

        ``ordinal`` is unique within this object, 0 <= ordinal < 50,000.
        """


class Upload(Staging, Protocol):
    """One object in the making: blocks in any order from any thread, visible only by one commit."""

    handle: str
    """What `ObjectStore.join` needs in another process."""

    def block(self, block_id: str, length: int) -> memoryview:
        """The bytes of a block that a process which joined has staged, before it is adopted.

        Raises StoreError if the block is not there as it was told, or the store is not ``readable``.
        """

    def adopt(self, block_id: str, length: int) -> None:
        """Take over a block of so many bytes that a process which joined has staged, so that a commit can name it.

        Costs least in the order of the commit. Raises StoreError if the block is not there as it was told.
        """

    def commit(self, block_ids: Sequence[str], *, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible, at once and whole, as the given blocks in the given order.

        Raises ObjectExists if the key is taken (the object there stays as it is), StoreError if a block is gone.
        """

    def abort(self) -> None:
        """Drop what was staged; safe to call twice, after a commit, and after any failure. Never raises."""


class ObjectStore(Protocol):
    """Bytes by key, with conditional writes."""

    def head(self, key: str) -> ObjectInfo | None:
        """The object's current version, or None."""

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version: from ``start``, at most ``length`` (to the end if None).

        Raises ObjectMissing, or ObjectChanged if ``etag`` is given and is not the current version.
        """

    def stream(self, key: str, *, start: int, length: int, etag: str) -> Generator[bytes, None, None]:
        """Exactly ``length`` bytes of that version in chunks of at most a few MiB; raises rather than ends short.

        Close it where it is not read to its end: it may hold a file open.
        """

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Write a new object in one atomic step. Raises ObjectExists if the key is taken."""

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write the next version of an object, keeping content type and metadata, if ``etag`` is still current.

        Raises ObjectChanged if it is not, ObjectMissing if there is none.
        """

    def begin(self, key: str, *, content_type: str) -> Upload:
        """Start an upload. Nothing is visible, and an object of that key stays as it is, until its commit."""

    def join(self, key: str, handle: str) -> Staging:
        """Stage blocks for the upload of that key and handle. Raises StoreError if it has ended."""

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """Remove the object, or only that version of it; False if there was none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Visible objects whose key begins with ``prefix``, by key; metadata and content type may be left out."""

    def local_path(self, key: str) -> Path | None:
        """A path that other programs of this machine can read the object at, or None if there is no such thing."""

    def read_urls(self) -> ReadUrls | None:
        """What makes URLs of this store, or None if it has no such thing or its credential cannot sign them."""

    def remove_leftovers(self, before: datetime, *, dry: bool = False) -> tuple[int, int]:
        """Remove what uploads that died before then left: how many, and their bytes. ``dry`` only counts.

        A store that does so by itself has none.
        """

    def check(self) -> None:
        """Reach the store once; raises StoreUnavailable with a sentence that tells the operator what to mend."""
