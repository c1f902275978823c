"""How long a finished export has to stay: as long as the last URL that was given out for it.

The object says so itself (``until`` in its metadata). Whoever gives out a URL that lives longer writes a lease beside
it, ``{key}.lease.json``; a sweeper that finds both over marks the lease as swept, and then removes the object. Each
change is a compare-and-swap, so a URL is never given out for an object that is about to go.
"""

from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from engine.errors import ObjectChanged, ObjectExists, ObjectMissing, StoreUnavailable
from engine.stores.port import ObjectStore

SUFFIX = ".lease.json"
_ATTEMPTS = 20
_JSON = "application/json"


class Lease(BaseModel):
    """Until when an object has to stay, or that a sweeper is about to remove it."""

    model_config = ConfigDict(frozen=True)

    until: AwareDatetime
    swept: bool = False


class Leases:
    """Leases in the store of the exports."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def extend(self, key: str, until: datetime) -> bool:
        """Keep the object at least until then; False if a sweeper was faster, and the object is gone now."""
        for _ in range(_ATTEMPTS):
            found = self._find(key)
            if found is None:
                if self._create(key, Lease(until=until)):
                    return True
                continue
            lease, etag = found
            if lease.swept:
                self.remove(key)
                return False
            if lease.until >= until or self._replace(key, Lease(until=until), etag):
                return True
        raise StoreUnavailable("Too many write the same lease: try again.")

    def retire(self, key: str, kept_until: datetime, now: datetime) -> bool:
        """Mark the object as swept if nobody needs it any more; ``kept_until`` is what the object itself says."""
        found = self._find(key)
        if found is None:
            return kept_until <= now and self._create(key, Lease(until=now, swept=True))
        lease, etag = found
        if lease.swept:
            return True
        return max(lease.until, kept_until) <= now and self._replace(key, Lease(until=now, swept=True), etag)

    def remove(self, key: str) -> None:
        """Remove a retired object, and its lease after it."""
        self._store.delete(key)
        self._store.delete(key + SUFFIX)

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


def kept_until(metadata_until: str | None, modified: datetime) -> datetime:
    """Until when an object asks to stay; one without a word of its own may go when it was made."""
    return modified if metadata_until is None else datetime.fromisoformat(metadata_until).astimezone(UTC)
