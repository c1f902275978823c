"""JSON documents in an object store: workflows, runs, leases, export statuses and markers.

A document is damaged if it is truncated, empty, not JSON, invalid, of a newer version, or another document's.
`Documents.load` then raises `DocumentDamaged`. Where one damaged document must not stop the work on others,
`Documents.read` logs its key and returns None.
"""

import json
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from engine.errors import (
    DocumentDamaged,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    ObjectUnreadable,
    StoreUnavailable,
)
from engine.stores.port import ObjectInfo, ObjectStore

LOG = logging.getLogger("tailrace")

MAX_SMALL_BYTES = 1024 * 1024
"""The default maximum size of a document; a larger one is damaged."""

_JSON = "application/json"
_ATTEMPTS = 20
_JITTER_SECONDS = 0.02
_LOG_INTERVAL_SECONDS = 60
_MAX_LOGGED_KEYS = 1000
_MAX_REASON_LENGTH = 200
_CONTENDED = "Too many concurrent changes to the same document; try again."


class Document(BaseModel):
    """A JSON document. Each kind has a member ``format_version: Literal[1] = 1``; other versions are damaged."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    def encode(self) -> bytes:
        """The document as JSON text."""
        return self.model_dump_json(by_alias=True).encode()

    def belongs_at(self, key: str) -> bool:  # noqa: ARG002  # for subclasses
        """Whether a document with this content may have that key."""
        return True


DocumentT = TypeVar("DocumentT", bound=Document)


@dataclass(frozen=True, slots=True)
class Version(Generic[DocumentT]):
    """A document with the ETag of the object that it was read from."""

    document: DocumentT
    etag: str


class ConcurrentChanges(StoreUnavailable):
    """Other processes changed the same document at every attempt."""


class _Parsed(Generic[DocumentT]):
    """The documents that were parsed last, by key and text; their texts together have at most ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._documents: OrderedDict[str, tuple[bytes, DocumentT]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, text: bytes) -> DocumentT | None:
        """The document that was parsed from this text, or None."""
        with self._lock:
            found = self._documents.get(key)
            if found is None or found[0] != text:
                return None
            self._documents.move_to_end(key)
            return found[1]

    def put(self, key: str, text: bytes, document: DocumentT) -> None:
        """Add a document, in place of others."""
        if len(text) > self._max_bytes:
            return
        with self._lock:
            self._bytes += len(text) - len(self._documents.pop(key, (b"",))[0])
            self._documents[key] = (text, document)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._documents.popitem(last=False)[1][0])


class Documents(Generic[DocumentT]):
    """The documents of one kind in a store.

    Texts of up to ``parsed_bytes`` in all are not parsed again while they are the same; they are read every time.
    ``substitute`` makes the document that `find` and `update` use in place of a damaged one; None means that there is
    none. Without ``substitute`` they raise DocumentDamaged. All methods raise StoreError.
    """

    def __init__(
        self,
        store: ObjectStore,
        kind: type[DocumentT],
        *,
        max_bytes: int = MAX_SMALL_BYTES,
        parsed_bytes: int = 0,
        substitute: Callable[[ObjectInfo], DocumentT | None] | None = None,
    ) -> None:
        self._store = store
        self._kind = kind
        self._max_bytes = max_bytes
        self._parsed = _Parsed[DocumentT](parsed_bytes)
        self._substitute = substitute

    def load(self, key: str) -> DocumentT | None:
        """The document, or None if there is none. Raises DocumentDamaged."""
        try:
            return self._content(key)
        except ObjectMissing:
            return None

    def read(self, key: str) -> DocumentT | None:
        """The document, or None if there is none or it is damaged, which is logged."""
        try:
            return self.load(key)
        except DocumentDamaged as error:
            log_damage(error)
            return None

    def find(self, key: str) -> Version[DocumentT] | None:
        """The document with its version, or None if there is none. Raises ConcurrentChanges after many attempts."""
        for _ in range(_ATTEMPTS):
            info = self._store.head(key)
            try:
                document = None if info is None else self._version_of(info)
            except (ObjectMissing, ObjectChanged):
                continue
            return None if info is None or document is None else Version(document, info.etag)
        raise ConcurrentChanges(_CONTENDED)

    def create(self, key: str, document: DocumentT, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write a new document. Raises ObjectExists."""
        return self._store.create(key, document.encode(), content_type=_JSON, metadata=metadata or {})

    def update(self, key: str, change: Callable[[DocumentT | None], DocumentT | None]) -> DocumentT | None:
        """Replace the document by the result of ``change``, and return that result; a compare-and-swap.

        ``change`` gets the current document, or None if there is none. Nothing is written if its result is None or the
        current document. It is called again if another process has changed the document meanwhile; its exceptions end
        the update. Raises ConcurrentChanges after many attempts.
        """
        for attempt in range(_ATTEMPTS):
            info = self._store.head(key)
            try:
                current = None if info is None else self._version_of(info)
            except (ObjectMissing, ObjectChanged):
                continue
            changed = change(current)
            if changed is None or changed == current:
                return changed
            try:
                if info is None:
                    self.create(key, changed)
                else:
                    self._store.replace(key, changed.encode(), etag=info.etag)
            except (ObjectExists, ObjectChanged, ObjectMissing):
                time.sleep(random.uniform(0, _JITTER_SECONDS * (attempt + 1)))  # noqa: S311  # jitter, not a secret
            else:
                return changed
        raise ConcurrentChanges(_CONTENDED)

    def _version_of(self, info: ObjectInfo) -> DocumentT | None:
        try:
            return self._content(info.key, info.etag)
        except DocumentDamaged as error:
            if self._substitute is None:
                raise
            log_damage(error)
            return self._substitute(info)

    def _content(self, key: str, etag: str | None = None) -> DocumentT:
        """The document. Raises ObjectMissing, ObjectChanged, or DocumentDamaged, also if it cannot be opened."""
        try:
            content = self._store.read(key, length=self._max_bytes + 1, etag=etag)
        except ObjectUnreadable as error:
            raise DocumentDamaged(key, error.message.rstrip(".")) from error
        if len(content) > self._max_bytes:
            raise DocumentDamaged(key, f"it is longer than {self._max_bytes:,} bytes")
        parsed = self._parsed.get(key, content)
        if parsed is not None:
            return parsed
        try:
            document = self._kind.model_validate_json(content)
        except (ValidationError, RecursionError) as error:
            raise DocumentDamaged(key, _reason(content, error)) from error
        if not document.belongs_at(key):
            raise DocumentDamaged(key, "its content belongs to another key")
        self._parsed.put(key, content, document)
        return document


_logged: dict[str, float] = {}


def log_damage(error: DocumentDamaged) -> None:
    """Log a damaged document, at most once a minute for each key, since every list reads the same documents."""
    now = time.monotonic()
    if now - _logged.get(error.key, -_LOG_INTERVAL_SECONDS) < _LOG_INTERVAL_SECONDS:
        return
    if len(_logged) >= _MAX_LOGGED_KEYS:
        _logged.clear()
    _logged[error.key] = now
    LOG.warning("Skipped a damaged document. %s", error.message)


def _reason(content: bytes, error: ValidationError | RecursionError) -> str:
    if not content:
        return "it is empty"
    try:
        version = json.loads(content)["formatVersion"]
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if isinstance(version, int) and version > 1:
        return f"it has format version {str(version)[:20]}, written by a newer version of Tailrace"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    member = ".".join(map(str, first["loc"]))
    return f"{f'{member}: ' if member else ''}{first['msg']}"[:_MAX_REASON_LENGTH]
