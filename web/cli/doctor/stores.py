"""Checks that the stores of results and exports exist, can be reached, and can be written."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from engine.bootstrap import open_exporter, open_pair, open_unmarked
from engine.errors import ClockSkew, EngineError, StoreNotInitialised
from engine.exports.exporter import Exporter
from engine.exports.store_pair import StorePair
from engine.settings import DuckDBSettings, StorageSettings
from engine.stores.clock import require_same_time
from engine.stores.marker import SHORT_LIVED, Role
from engine.stores.port import ObjectStore
from web.cli.doctor.findings import Finding, note, ok, problem
from web.cli.terminal.progress_bar import counted
from web.jobs.replicas import live_replicas, missing_key_ids
from web.settings import SigningSettings

_PROBE = b"tailrace doctor\n"
_LIST_LIMIT = 100
_REACH = {
    True: "set {variable} to a directory that this user can read and write, or repair this one",
    False: "check AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT_URL, the container's name and the network",
}
_WRITE = {
    True: "allow this user to write and delete in the directory, and free space if it is full",
    False: "use a key, identity or signature with permission to read, add, create, write, delete and list",
}


def check_stores(
    storage: StorageSettings, duckdb: DuckDBSettings, signing: SigningSettings | None, *, write: bool
) -> Iterator[Finding]:
    """Check both stores. With ``write``, a small object is written, read and deleted in each."""
    try:
        exporter = open_exporter(storage, duckdb)
    except EngineError as error:
        yield problem("stores", error.message, str(error.details.get("remedy", "")))
        return
    pair = open_pair(storage)
    yield from _Store("results", storage.results, open_unmarked(storage, "results"), pair, write).findings()
    yield from _Store("exports", storage.exports, open_unmarked(storage, "exports"), pair, write).findings()
    if signing is not None and signing.download_mode == "redirect":
        yield _redirect(exporter)
    # A store that cannot be read is a problem already.
    with suppress(EngineError):
        yield from _replicas(exporter)


def _replicas(exporter: Exporter) -> Iterator[Finding]:
    replicas = live_replicas(exporter.exports)
    lacking = [*missing_key_ids(replicas)]
    for replica, other in lacking:
        yield problem(
            "replicas",
            f"{replica.name} lacks the signing key {other.key_ids[0]}, with which {other.name} signs: it refuses those "
            "URLs with a 401",
            "add the key in second place to TAILRACE_SIGNING_KEYS of every replica and restart it, before any of them "
            "signs with it",
        )
    if not lacking:
        names = f" ({', '.join(replica.name for replica in replicas)})" if replicas else ""
        yield ok("replicas", f"{counted(len(replicas), 'replica')} of the service{names}; none lacks a signing key")


def _redirect(exporter: Exporter) -> Finding:
    if exporter.exports.read_urls() is not None:
        return ok("exports", "the store can sign download URLs, for TAILRACE_DOWNLOAD_MODE=redirect")
    return problem(
        "exports",
        "TAILRACE_DOWNLOAD_MODE=redirect needs a store that can sign download URLs",
        "set TAILRACE_EXPORTS to az://container/prefix with an account key or an identity, "
        "or TAILRACE_DOWNLOAD_MODE=stream",
    )


class _Store:
    """One store and its findings."""

    def __init__(self, area: Role, location: str, store: ObjectStore, pair: StorePair, write: bool) -> None:
        self._area: Role = area
        self._pair = pair
        self._location = location
        self._store = store
        self._write = write
        self._local = "://" not in location
        self._remedy = _REACH[self._local].format(variable=f"TAILRACE_{area.upper()}")

    def findings(self) -> Iterator[Finding]:
        """Check the marker, then list objects, then write a probe."""
        try:
            self._pair.require(self._area, adopt=self._write)
        except StoreNotInitialised as error:
            yield problem(self._area, f"{self._location}: {error.message.rstrip('.')}", "tailrace init")
            return
        except EngineError as error:
            yield problem(self._area, f"{self._location}: {error.message.rstrip('.')}", self._remedy)
            return
        try:
            listed = list(islice(self._store.list(""), _LIST_LIMIT))
        except EngineError as error:
            yield problem(self._area, f"{self._location}: {error.message.rstrip('.')}", self._remedy)
            return
        # Ids never begin with "_": the others are markers, probes and documents of replicas.
        found = len([info for info in listed if not info.key.startswith("_")])
        if found:
            number = f"{found:,} or more objects" if len(listed) == _LIST_LIMIT else counted(found, "object")
            yield ok(self._area, f"{self._location}: reached, {number}")
        else:
            yield note(
                self._area,
                f"{self._location}: reached, empty",
                "expected if nothing has been published"
                if self._area == "results"
                else "expected before the first export",
            )
        if self._write:
            yield from self._probed()
        # The time of a directory is that of a file that is written.
        if self._write or not self._local:
            yield self._clock()

    def _probed(self) -> Iterator[Finding]:
        key = f"{SHORT_LIVED}doctor-{secrets.token_hex(8)}"
        try:
            self._store.create(key, _PROBE, content_type="text/plain", metadata={})
        except EngineError as error:
            yield self._refused("it can be read but not written", error)
            return
        refused = list(self._read_and_deleted(key))
        yield from refused or [ok(self._area, "a small object was written, read and deleted")]

    def _read_and_deleted(self, key: str) -> Iterator[Finding]:
        try:
            if self._store.read(key) != _PROBE:
                raise EngineError("the bytes differ from those that were written")
        except EngineError as error:
            yield self._refused("the object that was written cannot be read", error)
        try:
            self._store.delete(key)
        except EngineError as error:
            yield self._refused(f"the object that was written, {key}, cannot be deleted", error)

    def _refused(self, what: str, error: EngineError) -> Finding:
        return problem(self._area, f"{self._location}: {what}: {error.message.rstrip('.')}", _WRITE[self._local])

    def _clock(self) -> Finding:
        """Compare the store's clock with this machine's."""
        try:
            require_same_time(self._store, self._area)
        except ClockSkew as error:
            return problem(
                "clock",
                error.message.partition(":")[0],
                "correct the one that is wrong (NTP): until then the service is not ready, and sweeps remove nothing",
            )
        except EngineError as error:
            return problem(self._area, f"{self._location}: {error.message.rstrip('.')}", self._remedy)
        same = "; on a local disk they are the same" if self._local else ""
        return ok("clock", f"this machine's agrees with that of the {self._area} store{same}")
