"""Leases: how long a finished export is retained, which is until the last URL signed for it expires.

The metadata of the export's object has a first date (``until``). Before a URL that expires later is signed, a lease
with the later date is written beside the object, ``{key}.lease.json``. When both dates have passed, a sweep marks the
version of the object for deletion in the lease, then removes that version. Every change of a lease is a
compare-and-swap, so no URL is signed for an object that is about to be removed, and a slow sweep never removes a newer
version.
"""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field

from engine.stores.documents import Document, Documents
from engine.stores.port import ObjectInfo, ObjectStore

SUFFIX = ".lease.json"

MAX_RETENTION = timedelta(days=7)
"""The maximum of TAILRACE_URL_TTL_SECONDS: how long an export is retained whose lease or metadata is damaged."""


class Lease(Document):
    """Until when an object is retained; ``deletion_mark`` is the ETag of the version that a sweep is removing."""

    format_version: Literal[1] = 1
    until: AwareDatetime
    # The member keeps the name that stored leases have.
    deletion_mark: str | None = Field(default=None, validation_alias="retired", serialization_alias="retired")


class Leases:
    """Leases in the exports store. A damaged lease counts as one of `MAX_RETENTION`. Methods raise StoreError."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._documents = Documents(store, Lease, substitute=_max_lease)

    def extend(self, key: str, etag: str, until: datetime) -> bool:
        """Retain that version of the object at least until then; False if it was removed, or marked for deletion.

        A marked version is removed.
        """

        def extended(lease: Lease | None) -> Lease:
            # The deletion mark of an older version is obsolete and is dropped.
            enough = lease is not None and (lease.until >= until or lease.deletion_mark == etag)
            return lease if lease is not None and enough else Lease(until=until)

        lease = self._documents.update(key + SUFFIX, extended)
        if lease is not None and lease.deletion_mark == etag:
            self.remove_marked(key, etag)
            return False
        # No sweep removes it from here on, but one may have done so before.
        info = self._store.head(key)
        return info is not None and info.etag == etag

    def mark_for_deletion(self, key: str, etag: str, retained_until: datetime, now: datetime) -> bool:
        """Mark that version for deletion if it has expired; False if it has not.

        ``retained_until`` is the date of the object's own metadata.
        """

        def marked(lease: Lease | None) -> Lease | None:
            if (lease is not None and lease.deletion_mark == etag) or not _expired(lease, etag, retained_until, now):
                return lease
            return Lease(until=now, deletion_mark=etag)

        lease = self._documents.update(key + SUFFIX, marked)
        return lease is not None and lease.deletion_mark == etag

    def until(self, key: str, etag: str, retained_until: datetime) -> datetime | None:
        """Until when that version is retained; None if it is marked for deletion. Arguments as above."""
        found = self._documents.find(key + SUFFIX)
        if found is None:
            return retained_until
        return None if found.document.deletion_mark == etag else max(found.document.until, retained_until)

    def remove(self, key: str, etag: str, now: datetime) -> bool:
        """Remove that version though it has not expired; False if another process removed it."""
        self._documents.update(key + SUFFIX, lambda _: Lease(until=now, deletion_mark=etag))
        return self.remove_marked(key, etag)

    def has_expired(self, key: str, etag: str, retained_until: datetime, now: datetime) -> bool:
        """Whether `mark_for_deletion` would mark that version now; changes nothing."""
        found = self._documents.find(key + SUFFIX)
        return _expired(found.document if found else None, etag, retained_until, now)

    def remove_marked(self, key: str, etag: str) -> bool:
        """Remove a version that is marked for deletion, then its lease; False if another process removed it."""
        removed = self._store.delete(key, etag=etag)
        found = self._documents.find(key + SUFFIX)
        if found is not None and found.document.deletion_mark == etag:
            self._store.delete(key + SUFFIX, etag=found.etag)
        return removed


def _max_lease(info: ObjectInfo) -> Lease:
    return Lease(until=info.modified + MAX_RETENTION)


def _expired(lease: Lease | None, etag: str, retained_until: datetime, now: datetime) -> bool:
    if lease is None:
        return retained_until <= now
    return lease.deletion_mark == etag or max(lease.until, retained_until) <= now
