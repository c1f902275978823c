"""How long a finished export has to stay: as long as the last URL that was given out for it.

The object says so itself (``until`` in its metadata). Whoever gives out a URL that lives longer writes a lease beside
it, ``{key}.lease.json``; a sweeper that finds both over writes there which version of the object it is about to remove,
and then removes that version. Each change is a compare-and-swap, so a URL is never given out for what is about to go;
and however late a sweeper is, it takes nothing that was made since it looked.
"""

from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from engine.errors import ObjectChanged, ObjectExists, ObjectMissing, StoreUnavailable
from engine.stores.port import ObjectStore

SUFFIX = ".lease.json"
_ATTEMPTS = 20
_JSON = "application/json"


class Lease(BaseModel):
    """Until when an object has to stay; ``retired`` is the ETag of a version that a sweeper is about to remove."""

    model_config = ConfigDict(frozen=True)

    until: AwareDatetime
    retired: str | None = None


class Leases:
    """Leases in the store of the exports."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def extend(self, key: str, etag: str, until: datetime) -> bool:
        """Keep that version of the object at least until then; False if a sweeper was faster, and it is gone now."""
        wanted = Lease(until=until)
        for _ in range(_ATTEMPTS):
            found = self._find(key)
            if found is None:
                written = self._create(key, wanted)
            else:
                lease, version = found
                if lease.retired == etag:
                    self.remove(key, etag)
                    return False
                # The mark of an older version is over, and nobody's any more.
                written = lease.until >= until or self._replace(key, wanted, version)
            if written:
                # No sweeper takes it from here on, but one may have been done before.
                info = self._store.head(key)
                return info is not None and info.etag == etag
        raise StoreUnavailable("Too many write the same lease: try again.")

    def retire(self, key: str, etag: str, kept_until: datetime, now: datetime) -> bool:
        """Mark that version if nobody needs it any more; ``kept_until`` is what the object itself says."""
        mark = Lease(until=now, retired=etag)
        found = self._find(key)
        if not _is_over(found, etag, kept_until, now):
            return False
        if found is None:
            return self._create(key, mark)
        lease, version = found
        return lease.retired == etag or self._replace(key, mark, version)

    def is_over(self, key: str, etag: str, kept_until: datetime, now: datetime) -> bool:
        """What `retire` would say if nobody was faster; it marks nothing."""
        return _is_over(self._find(key), etag, kept_until, now)

    def remove(self, key: str, etag: str) -> bool:
        """Remove a retired version, and its mark after it; False if somebody else did."""
        removed = self._store.delete(key, etag=etag)
        found = self._find(key)
        if found is not None and found[0].retired == etag:
            self._store.delete(key + SUFFIX, etag=found[1])
        return removed

    def _find(self, key: str) -> tuple[Lease, str] | None:
        info = self._store.head(key + SUFFIX)
        if info is None:
            return None
        try:
            return Lease.model_validate_json(self._store.read(key + SUFFIX, etag=info.etag)), info.etag
        except (ObjectMissing, ObjectChanged):
            return self._find(key)

    def _create(self, key: str, lease: Lease) -> bool:
        try:
            self._store.create(key + SUFFIX, lease.model_dump_json().encode(), content_type=_JSON, metadata={})
        except ObjectExists:
            return False
        return True

    def _replace(self, key: str, lease: Lease, etag: str) -> bool:
        try:
            self._store.replace(key + SUFFIX, lease.model_dump_json().encode(), etag=etag)
        except (ObjectChanged, ObjectMissing):
            return False
        return True


def _is_over(found: tuple[Lease, str] | None, etag: str, kept_until: datetime, now: datetime) -> bool:
    if found is None:
        return kept_until <= now
    lease, _ = found
    return lease.retired == etag or max(lease.until, kept_until) <= now


def kept_until(metadata_until: str | None, modified: datetime) -> datetime:
    """Until when an object asks to stay; one without a word of its own may go when it was made."""
    return modified if metadata_until is None else datetime.fromisoformat(metadata_until).astimezone(UTC)
