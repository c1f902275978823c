"""The results and exports of one deployment: their markers, who writes them, and what is wrong without them."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from engine.errors import Conflict, DocumentDamaged, EngineError, ObjectExists, StoreNotInitialised, StoreUnavailable
from engine.exports.export import is_export
from engine.stores.documents import LOG, Documents
from engine.stores.marker import MARKER_KEYS, Marker, Role, markers
from engine.stores.port import ObjectStore

_SEARCHED_KEYS = 1000
_ATTEMPTS = 5
_OTHER_DEPLOYMENT = (
    "The exports store belongs to another results store: correct TAILRACE_RESULTS or TAILRACE_EXPORTS, "
    "or run `tailrace init --replace` to bind these two."
)


class StorePair:
    """Both stores as they are, without the check of markers; each is opened when it is needed first."""

    def __init__(self, results: Callable[[], ObjectStore], exports: Callable[[], ObjectStore]) -> None:
        self._open: dict[Role, Callable[[], ObjectStore]] = {"results": results, "exports": exports}
        self._seen: dict[Role, Marker] = {}

    def require(self, role: Role, *, adopt: bool = True) -> None:
        """Look for a store's marker. Raises StoreUnavailable, with the remedy, if it is missing or not right.

        A store of a version before markers that holds workflows or exports gets its marker here, once, if ``adopt``;
        never in the place of a marker that this process has seen.
        """
        marker = self._readable(role) or (self._adopted(role) if adopt else None)
        if marker is None:
            raise StoreNotInitialised(
                f"The {role} store has no marker: mount it if it is not mounted, or run `tailrace init` if it is new."
            )
        self._seen[role] = marker
        if not self._is_pair():
            # The other one may have been initialised anew since it was seen.
            self._seen = {other: now for other in self._seen if (now := self._found(other)) is not None}
            if not self._is_pair():
                raise StoreUnavailable(_OTHER_DEPLOYMENT)

    def initialise(self, *, replace: bool = False) -> list[Role]:
        """Write the markers that are missing or damaged; returns the roles of those that were written.

        ``replace`` also binds stores that belonged to others, or whose other store is gone. Raises Conflict without
        it, and StoreError; the results' marker may be written then, and the next call completes the pair.
        """
        for _ in range(_ATTEMPTS):
            # Another process may be faster; its markers count then.
            with suppress(ObjectExists):
                return self._initialise(replace=replace)
        raise Conflict("Other processes initialise the same stores: try again.")

    def _is_pair(self) -> bool:
        results, exports = self._seen.get("results"), self._seen.get("exports")
        return results is None or exports is None or exports.peer_id == results.store_id

    def _initialise(self, *, replace: bool) -> list[Role]:
        written: list[Role] = []
        results, exports = self._found("results"), self._found("exports")
        if results is None:
            holds = self._holds_workflows()
            if exports is not None and not holds and not replace:
                raise Conflict(
                    "The exports store names a results store that is not here: mount it or correct TAILRACE_RESULTS, "
                    "or run `tailrace init --replace` if it is gone for good."
                )
            # Results that hold workflows have lost their marker: the exports still know their id.
            known = exports if holds else None
            results = Marker(
                role="results",
                store_id=known.peer_id if known else _new_id(),
                peer_id=exports.store_id if exports else _new_id(),
            )
            self._write(results)
            written.append("results")
        if exports is None or exports.peer_id != results.store_id:
            if exports is not None and not replace:
                raise Conflict(_OTHER_DEPLOYMENT)
            self._write(Marker(role="exports", store_id=results.peer_id, peer_id=results.store_id))
            written.append("exports")
        return written

    def _adopted(self, role: Role) -> Marker | None:
        """The marker of a store that was in use before there were any; None if this is no such store."""
        results = self._found("results")
        old = results is None and "results" not in self._seen and self._holds_workflows()
        if old:
            results = self._adopt(Marker(role="results", store_id=_new_id(), peer_id=_new_id()))
        if results is None:
            return None
        exports = None
        # The exports may be out of reach of whoever reads results alone.
        with suppress(EngineError):
            exports = self._found("exports")
            if exports is None and "exports" not in self._seen and (old or self._holds_exports()):
                exports = self._adopt(Marker(role="exports", store_id=results.peer_id, peer_id=results.store_id))
        return results if role == "results" else exports

    def _adopt(self, marker: Marker) -> Marker:
        try:
            self._documents(marker.role).create(MARKER_KEYS[marker.role], marker)
        except ObjectExists:
            return self._readable(marker.role) or marker
        except StoreUnavailable:
            if marker.role == "exports":
                raise
            # With a credential that may only read, results are served as before, without the protection.
            LOG.warning("The results store has no marker and none can be written: run `tailrace init`.")
            return marker
        LOG.info("Adopted the %s store of an older version: its marker %s is written.", marker.role, marker.store_id)
        return marker

    def _readable(self, role: Role) -> Marker | None:
        try:
            return self._documents(role).load(MARKER_KEYS[role])
        except DocumentDamaged as error:
            raise StoreUnavailable(
                f"The marker of the {role} store is damaged ({error.reason}): run `tailrace init` to write it anew."
            ) from error

    def _found(self, role: Role) -> Marker | None:
        """The marker, or None also if it is damaged."""
        try:
            return self._documents(role).load(MARKER_KEYS[role])
        except DocumentDamaged:
            return None

    def _write(self, marker: Marker) -> None:
        store, key = self._open[marker.role](), MARKER_KEYS[marker.role]
        info = store.head(key)
        if info is None:
            self._documents(marker.role).create(key, marker)
        else:
            store.replace(key, marker.encode(), etag=info.etag)

    def _documents(self, role: Role) -> Documents[Marker]:
        return markers(self._open[role]())

    def _holds_workflows(self) -> bool:
        return next(iter(self._open["results"]().list("workflow=")), None) is not None

    def _holds_exports(self) -> bool:
        return any(is_export(info.key) for info in islice(self._open["exports"]().list(""), _SEARCHED_KEYS))


def _new_id() -> str:
    return str(uuid.uuid4())
