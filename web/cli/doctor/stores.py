"""Whether the stores of results and exports can be reached, and with ``--write`` written."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from engine.bootstrap import open_exporter
from engine.errors import EngineError
from engine.exports.exporter import Exporter
from engine.settings import DuckDBSettings, StorageSettings
from engine.stores.port import ObjectStore
from web.cli.doctor.findings import Finding, note, ok, problem
from web.settings import SigningSettings

RESERVED = "_tailrace"
"""Begins the key of a probe: no id begins with ``_``, so no workflow's object is ever called so."""

_LOOKED_AT = 100
_SKEW = timedelta(seconds=60)
_REACH = {
    True: "set {variable} to a directory that this user may read and write, or mend that one",
    False: "check AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT_URL, the container's name and the network",
}


def check_stores(
    storage: StorageSettings, duckdb: DuckDBSettings, signing: SigningSettings | None, *, write: bool
) -> Iterator[Finding]:
    """Findings about both stores."""
    try:
        exporter = open_exporter(storage, duckdb)
    except EngineError as error:
        yield problem("stores", error.message, str(error.details.get("remedy", "")))
        return
    yield from _Store("results", storage.results, exporter.results.store, write).findings()
    yield from _Store("exports", storage.exports, exporter.exports, write).findings()
    if signing is not None and signing.downloads == "redirect":
        yield _redirect(exporter)


def _redirect(exporter: Exporter) -> Finding:
    if exporter.exports.read_urls() is not None:
        return ok("exports", "URLs of its own, for TAILRACE_DOWNLOADS=redirect")
    return problem(
        "exports",
        "TAILRACE_DOWNLOADS=redirect, and the store has no URLs of its own or may not sign them",
        "set TAILRACE_EXPORTS to az://container/prefix with an account key or an identity, "
        "or TAILRACE_DOWNLOADS=stream",
    )


class _Store:
    """One store, and what is said of it."""

    def __init__(self, area: str, location: str, store: ObjectStore, write: bool) -> None:
        self._area = area
        self._location = location
        self._store = store
        self._write = write
        self._local = "://" not in location
        self._remedy = _REACH[self._local].format(variable=f"TAILRACE_{area.upper()}")

    def findings(self) -> Iterator[Finding]:
        """By a list first; nothing is written unless that was asked for."""
        try:
            seen = list(islice(self._store.list(""), _LOOKED_AT))
        except EngineError as error:
            yield problem(self._area, f"{self._location}: {error.message}", self._remedy)
            return
        held = f"{len(seen)}{' or more' if len(seen) == _LOOKED_AT else ''} objects"
        if seen:
            yield ok(self._area, f"{self._location}: reached, {held}")
        else:
            yield note(
                self._area,
                f"{self._location}: reached, and nothing is there",
                "right if nothing was published yet" if self._area == "results" else "right before the first export",
            )
        yield from self._clock(max((info.modified for info in seen), default=None))
        yield from self._probed() if self._write else self._looked()

    def _looked(self) -> Iterator[Finding]:
        """What can be told of writing without any."""
        if not self._local:
            return
        there = Path(self._location).absolute()
        while not there.exists():
            there = there.parent
        if not os.access(there, os.W_OK | os.X_OK):
            yield problem(self._area, f"{there} cannot be written by this user", self._remedy)

    def _probed(self) -> Iterator[Finding]:
        key = f"{RESERVED}/doctor-{secrets.token_hex(8)}"
        try:
            written = self._store.create(key, b"tailrace doctor\n", content_type="text/plain", metadata={})
            self._expect(self._store.read(key) == b"tailrace doctor\n", "what was written came back otherwise")
            self._expect(self._store.delete(key), "what was written could not be removed")
        except EngineError as error:
            yield problem(self._area, f"{self._location}: writing failed: {error.message}", self._remedy)
        else:
            yield ok(self._area, "a small object was written, read and removed")
            yield from self._clock(written.modified)
        finally:
            with suppress(EngineError):
                self._store.delete(key)

    def _expect(self, held: bool, otherwise: str) -> None:
        if not held:
            raise EngineError(otherwise)

    def _clock(self, modified: datetime | None) -> Iterator[Finding]:
        """A store stamps its objects by its own clock: none can be younger than now."""
        if modified is not None and modified > datetime.now(UTC) + _SKEW:
            ahead = int((modified - datetime.now(UTC)).total_seconds())
            yield problem(
                "clock",
                f"an object of the {self._area} is {ahead} s younger than this machine's clock",
                "set the clock (NTP): signed URLs would live too long, and fail on other machines",
            )
