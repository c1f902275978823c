"""The two stores of one deployment, results and exports, and the markers that bind them together."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from engine.errors import Conflict, DocumentDamaged, EngineError, ObjectExists, StoreNotInitialised, StoreUnavailable
from engine.exports.export import is_export
from engine.stores.documents import LOG, Documents
from engine.stores.marker import MARKER_KEYS, Marker, Role, markers
from engine.stores.port import ObjectStore

_MAX_SEARCHED_KEYS = 1000
_ATTEMPTS = 5
_WRONG_PEER = (
    "The exports store belongs to another results store: correct TAILRACE_RESULTS or TAILRACE_EXPORTS, "
    "or run `tailrace init --replace` to bind these two."
)


class StorePair:
    """Both stores without marker checks. Each is opened when it is first needed."""

    def __init__(self, results: Callable[[], ObjectStore], exports: Callable[[], ObjectStore]) -> None:
        self._open: dict[Role, Callable[[], ObjectStore]] = {"results": results, "exports": exports}
        self._seen: dict[Role, Marker] = {}
        """The last valid marker of each store that `require` has read."""

    def require(self, role: Role, *, adopt: bool = True) -> None:
        """Read a store's marker. Raises StoreNotInitialised or StoreUnavailable, with the remedy, if it is not valid.

        Versions before markers left stores without one. With ``adopt``, such a store gets its marker here if it has
        workflows or exports and this process has not seen a marker in it.
        """
        marker = self._load(role) or (self._adopted(role) if adopt else None)
        if marker is None:
            raise StoreNotInitialised(
                f"The {role} store has no marker: mount it if it is not mounted, or run `tailrace init` if it is new."
            )
        self._seen[role] = marker
        if not self._is_pair():
            # The other store may have been initialised again since its marker was read.
            self._seen = {other: now for other in self._seen if (now := self._load_valid(other)) is not None}
            if not self._is_pair():
                raise StoreUnavailable(_WRONG_PEER)

    def initialise(self, *, replace: bool = False) -> list[Role]:
        """Write the markers that are missing or damaged; returns the roles of those that were written.

        ``replace`` also binds stores of which one belongs to another deployment, or names a store that is gone; without
        it they raise Conflict. Also raises StoreError; then the results' marker may exist, and the next call completes
        the pair.
        """
        for _ in range(_ATTEMPTS):
            # Start again if another process has written a marker, which is valid too.
            with suppress(ObjectExists):
                return self._initialise(replace=replace)
        raise Conflict("Other processes are initialising the same stores: try again.")

    def _is_pair(self) -> bool:
        results, exports = self._seen.get("results"), self._seen.get("exports")
        return results is None or exports is None or exports.peer_id == results.store_id

    def _initialise(self, *, replace: bool) -> list[Role]:
        written: list[Role] = []
        results, exports = self._load_valid("results"), self._load_valid("exports")
        if results is None:
            has_workflows = self._has_workflows()
            if exports is not None and not has_workflows and not replace:
                raise Conflict(
                    "The exports store names a results store that is not here: mount it or correct TAILRACE_RESULTS, "
                    "or run `tailrace init --replace` if it is gone for good."
                )
            # Results that have workflows have lost their marker, but the exports' marker names their id.
            lost_id = exports.peer_id if exports and has_workflows else None
            results = Marker(
                role="results",
                store_id=lost_id or _new_id(),
                peer_id=exports.store_id if exports else _new_id(),
            )
            self._write(results)
            written.append("results")
        if exports is None or exports.peer_id != results.store_id:
            if exports is not None and not replace:
                raise Conflict(_WRONG_PEER)
            self._write(Marker(role="exports", store_id=results.peer_id, peer_id=results.store_id))
            written.append("exports")
        return written

    def _adopted(self, role: Role) -> Marker | None:
        """The new marker of a store that a version before markers has used; None if it is not such a store."""
        results = self._load_valid("results")
        unmarked = results is None and "results" not in self._seen and self._has_workflows()
        if unmarked:
            results = self._adopt(Marker(role="results", store_id=_new_id(), peer_id=_new_id()))
        if results is None:
            return None
        exports = None
        # A process that only reads results may have no access to the exports.
        with suppress(EngineError):
            exports = self._load_valid("exports")
            if exports is None and "exports" not in self._seen and (unmarked or self._has_exports()):
                exports = self._adopt(Marker(role="exports", store_id=results.peer_id, peer_id=results.store_id))
        return results if role == "results" else exports

    def _adopt(self, marker: Marker) -> Marker:
        try:
            self._documents(marker.role).create(MARKER_KEYS[marker.role], marker)
        except ObjectExists:
            return self._load(marker.role) or marker
        except StoreUnavailable:
            if marker.role == "exports":
                raise
            # With a read-only credential, results are served as before, without the protection of a marker.
            LOG.warning("The results store has no marker and it cannot be written: run `tailrace init`.")
            return marker
        LOG.info("Adopted the %s store of an older version with the new marker %s.", marker.role, marker.store_id)
        return marker

    def _load(self, role: Role) -> Marker | None:
        try:
            return self._documents(role).load(MARKER_KEYS[role])
        except DocumentDamaged as error:
            raise StoreUnavailable(
                f"The marker of the {role} store is damaged ({error.reason}): run `tailrace init` to write it again."
            ) from error

    def _load_valid(self, role: Role) -> Marker | None:
        """The marker, or None if it is missing or damaged."""
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

    def _has_workflows(self) -> bool:
        return next(iter(self._open["results"]().list("workflow=")), None) is not None

    def _has_exports(self) -> bool:
        return any(is_export(info.key) for info in islice(self._open["exports"]().list(""), _MAX_SEARCHED_KEYS))


def _new_id() -> str:
    return str(uuid.uuid4())
