"""How long a finished export has to stay: as long as the last URL that was given out for it.

The object says so itself (``until`` in its metadata). Whoever gives out a URL that lives longer writes a lease beside
it, ``{key}.lease.json``; a sweeper that finds both over writes there which version of the object it is about to remove,
and then removes that version. Each change is a compare-and-swap, so a URL is never given out for what is about to go;
and however late a sweeper is, it takes nothing that was made since it looked.
"""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from engine.stores.documents import Document, Documents
from engine.stores.port import ObjectInfo, ObjectStore

SUFFIX = ".lease.json"

LONGEST = timedelta(days=7)
"""No URL lives longer (TAILRACE_URL_TTL_SECONDS), so no lease or export that cannot be read is needed longer."""


class Lease(Document):
    """Until when an object has to stay; ``retired`` is the ETag of a version that a sweeper is about to remove."""

    format_version: Literal[1] = 1
    until: AwareDatetime
    retired: str | None = None


class Leases:
    """Leases in the store of the exports. A damaged one counts as the longest that could have been written."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._documents = Documents(store, Lease, substitute=_longest)

    def extend(self, key: str, etag: str, until: datetime) -> bool:
        """Keep that version of the object at least until then; False if a sweeper was faster, and it is gone now."""

        def extended(lease: Lease | None) -> Lease:
            # The mark of an older version is over, and is dropped.
            enough = lease is not None and (lease.until >= until or lease.retired == etag)
            return lease if lease is not None and enough else Lease(until=until)

        lease = self._documents.update(key + SUFFIX, extended)
        if lease is not None and lease.retired == etag:
            self.remove(key, etag)
            return False
        # No sweeper takes it from here on, but one may have been done before.
        info = self._store.head(key)
        return info is not None and info.etag == etag

    def retire(self, key: str, etag: str, kept_until: datetime, now: datetime) -> bool:
        """Mark that version if nobody needs it any more; ``kept_until`` is what the object itself says."""

        def marked(lease: Lease | None) -> Lease | None:
            if (lease is not None and lease.retired == etag) or not _is_over(lease, etag, kept_until, now):
                return lease
            return Lease(until=now, retired=etag)

        lease = self._documents.update(key + SUFFIX, marked)
        return lease is not None and lease.retired == etag

    def is_over(self, key: str, etag: str, kept_until: datetime, now: datetime) -> bool:
        """What `retire` would say if nobody was faster; it marks nothing."""
        found = self._documents.find(key + SUFFIX)
        return _is_over(found.document if found else None, etag, kept_until, now)

    def remove(self, key: str, etag: str) -> bool:
        """Remove a retired version, and its mark after it; False if somebody else did."""
        removed = self._store.delete(key, etag=etag)
        found = self._documents.find(key + SUFFIX)
        if found is not None and found.document.retired == etag:
            self._store.delete(key + SUFFIX, etag=found.etag)
        return removed


def _longest(info: ObjectInfo) -> Lease:
    return Lease(until=info.modified + LONGEST)


def _is_over(lease: Lease | None, etag: str, kept_until: datetime, now: datetime) -> bool:
    if lease is None:
        return kept_until <= now
    return lease.retired == etag or max(lease.until, kept_until) <= now
