"""Tombstones: the ids of exports that someone deleted, so that no URL of theirs opens again.

Equal requests have equal export ids, so without a tombstone the next request would make the file again under the old
URLs. A request whose id has one gets the next id instead. A tombstone is an object beside where the export was,
``{workflow}/{exportId}.deleted.json``; a sweep removes it when every URL of the export has expired.
"""

from datetime import timedelta
from typing import Literal

from engine.common.ids import export_id as id_of
from engine.errors import ObjectExists
from engine.exports.leases import MAX_RETENTION
from engine.stores.documents import Document, Documents
from engine.stores.port import ObjectStore

SUFFIX = ".deleted.json"

LIFETIME = MAX_RETENTION + timedelta(days=1)
"""Longer than any URL is valid; the day covers clocks that differ."""


class Tombstone(Document):
    """Its presence is its content."""

    format_version: Literal[1] = 1


class Tombstones:
    """The tombstones in an exports store. Methods raise StoreError."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._documents = Documents(store, Tombstone)

    def add(self, workflow_id: str, export_id: str) -> None:
        """Mark an export as deleted; it may be marked already."""
        try:
            self._documents.create(_key(workflow_id, export_id), Tombstone())
        except ObjectExists:
            return

    def has(self, workflow_id: str, export_id: str) -> bool:
        """Whether the export was deleted. Both ids must be valid."""
        return self._store.head(_key(workflow_id, export_id)) is not None

    def live_id(self, workflow_id: str, export_id: str) -> str:
        """The id itself, or if that export was deleted, the id that equal requests have since."""
        while self.has(workflow_id, export_id):
            export_id = id_of({"after": export_id})
        return export_id


def _key(workflow_id: str, export_id: str) -> str:
    return f"{workflow_id}/{export_id}{SUFFIX}"
