"""The object store port: the operations that the engine needs from storage.

The adapters are `engine.stores.local.store` and `engine.stores.azure.store`; both pass ``tests/contract``. Keys are
relative and ``/``-separated, and the engine makes them from valid ids only. Every method may be called from any thread,
and raises `StoreUnavailable` if the store cannot be reached after bounded retries. Sizes and offsets are in bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from engine.stores.object_stream import ObjectStream


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A version of an object. ``etag`` is opaque and different for every version; ``metadata`` is ASCII text."""

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadHeaders:
    """Response headers for an object that the store serves itself, in place of the stored ones."""

    content_type: str
    content_disposition: str
    cache_control: str


@dataclass(frozen=True, slots=True)
class CopySource:
    """A version of an object, for a store that copies from it: its path, or a URL that can be read for an hour."""

    location: Path | str = field(repr=False)
    """A URL is a secret."""
    etag: str


class ReadUrls(Protocol):
    """Makes URLs with which anyone can read an object directly from the store, for a short time."""

    def read_url(self, key: str, *, expires: datetime, headers: ReadHeaders) -> str:
        """A read-only URL for that object alone, valid until ``expires`` (truncated to the second).

        The object need not exist. Raises StoreUnavailable if signing needs a request to the store and it fails.
        """


class Staging(Protocol):
    """Stages blocks of an upload, in the process that began it or in one that joined it."""

    parallel_blocks: int
    """The number of concurrent `stage` calls from which the store gains."""

    readable: bool
    """Whether `Upload.block` can read a staged block. If not, a caller that needs its bytes must keep them."""

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        """Store one block and return its id, which is unique across processes. ``data`` may be reused afterwards.

        ``ordinal`` is unique within this instance, 0 <= ordinal < 50,000.
        """


class Upload(Staging, Protocol):
    """An upload of one object: blocks are staged in any order from any thread, and one commit makes it visible."""

    handle: str
    """The argument of `ObjectStore.join` in another process."""

    def block(self, block_id: str, length: int) -> memoryview:
        """The bytes of a block of that length that another process has staged, before it is adopted.

        Raises StoreError if there is no such block, or if the store is not ``readable``.
        """

    def stage_copy(self, ordinal: int, source: CopySource, *, start: int, length: int, md5: bytes) -> str:
        """As `stage`, for bytes of a source that the store `can_copy`; they do not pass through this process.

        Azure compares them with their ``md5``, a directory does not. Raises StoreError if the store cannot copy them,
        or if that version is not there; `ObjectStore.read` of the source says which.
        """

    def adopt(self, block_id: str, length: int) -> None:
        """Add a block of that length, which another process has staged, to those that the commit can name.

        Fastest in the order of the commit. Raises StoreError if there is no such block.
        """

    def commit(self, block_ids: Sequence[str], *, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible, atomically, as the given blocks in the given order.

        Raises ObjectExists if the key is taken (that object is unchanged), StoreError if a block is missing.
        """

    def abort(self) -> None:
        """Discard the staged blocks. May be called twice, after a commit, and after any failure; never raises."""


class ObjectStore(Protocol):
    """Bytes by key, with conditional writes."""

    def head(self, key: str) -> ObjectInfo | None:
        """The current version of the object, or None."""

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version from ``start`` on, at most ``length``; None reads to the end.

        Raises ObjectMissing, or ObjectChanged if ``etag`` is given and is not the current version.
        """

    def stream(self, key: str, *, start: int, length: int, etag: str) -> ObjectStream:
        """Exactly ``length`` bytes of that version. The caller closes a stream that it does not exhaust.

        May raise what its iteration raises: StoreError rather than end early, ObjectMissing or ObjectChanged.
        """

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Write a new object, atomically. Raises ObjectExists if the key is taken."""

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write the next version of an object, with the same content type and metadata, if ``etag`` is current.

        Raises ObjectChanged if it is not, ObjectMissing if there is no object.
        """

    def begin(self, key: str, *, content_type: str) -> Upload:
        """Begin an upload. Nothing is visible, and an existing object is unchanged, until the commit."""

    def join(self, key: str, handle: str) -> Staging:
        """Join an upload of another process by its key and handle. Raises StoreError if it has ended."""

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """Remove the object, with ``etag`` only that version of it; False if there was none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects whose key begins with ``prefix``, in key order; they may lack metadata and content type."""

    def local_path(self, key: str) -> Path | None:
        """A path at which programs on this machine can read the object, or None if the store has no files."""

    def read_urls(self) -> ReadUrls | None:
        """The maker of read URLs, or None if the store has none or its credential cannot sign them."""

    def copy_source(self, key: str, *, etag: str) -> CopySource | None:
        """That version as a source for `Upload.stage_copy`, or None if it cannot be one; it need not exist.

        Raises StoreUnavailable if signing its URL needs a request to the store and it fails.
        """

    def can_copy(self, source: CopySource) -> bool:
        """Whether the source is in a store of the same kind, and if that is Azure, in the same account."""

    def remove_leftovers(self, before: datetime, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove the staged data of uploads that were last written before then; returns their number and bytes.

        ``dry_run`` only counts. (0, 0) for a store that removes them by itself.
        """

    def check(self) -> datetime:
        """Make one request to the store, and return the time by its clock, possibly truncated to the second.

        Raises StoreUnavailable with a remedy for the operator.
        """
