"""What each replica announces about itself in the exports store, so that `tailrace doctor` can compare all of them.

A small document ``_tailrace/replicas/{id}.json`` has the ids of the signing keys, never a key. The replica writes it
again every minute and removes it when it stops; that of a killed one is ignored after three minutes, and swept after a
day.
"""

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Literal

from pydantic import AwareDatetime

from engine.errors import EngineError
from engine.stores.clock import StoreClock
from engine.stores.documents import Document, Documents
from engine.stores.marker import SHORT_LIVED
from engine.stores.port import ObjectStore
from web.telemetry.logs import LOG

LIVE_FOR = timedelta(minutes=3)
_REFRESH_SECONDS = 60
_WITHDRAW_SECONDS = 3
_PREFIX = f"{SHORT_LIVED}replicas/"


class Replica(Document):
    """One process of the service. It signs with the first of ``key_ids`` and verifies with all; dates are the store's.

    ``name`` is ``host:port``.
    """

    format_version: Literal[1] = 1
    name: str
    key_ids: tuple[str, ...]
    started_at: AwareDatetime
    seen_at: AwareDatetime


def live_replicas(store: ObjectStore) -> list[Replica]:
    """The replicas that run, by name. A damaged document is logged and left out. Raises StoreError."""
    documents, oldest = Documents(store, Replica), StoreClock(store).now() - LIVE_FOR
    found = (documents.read(info.key) for info in store.list(_PREFIX))
    return sorted((one for one in found if one is not None and one.seen_at >= oldest), key=lambda one: one.name)


def missing_key_ids(replicas: Sequence[Replica]) -> Iterator[tuple[Replica, Replica]]:
    """Each pair of a replica that lacks a key id, and the first one that signs with it."""
    signing = {replica.key_ids[0]: replica for replica in reversed(replicas)}
    for replica in replicas:
        yield from ((replica, other) for key_id, other in signing.items() if key_id not in replica.key_ids)


class Announcement:
    """The document of this process. A store that fails is retried a minute later; the service works without it."""

    def __init__(self, store: ObjectStore, clock: StoreClock, *, name: str, key_ids: Sequence[str]) -> None:
        self._store = store
        self._documents = Documents(store, Replica, substitute=lambda _: None)
        self._clock = clock
        self._name = name
        self._key_ids = tuple(key_ids)
        self._key = f"{_PREFIX}{uuid.uuid4()}.json"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Announce this process while the block runs."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._run, args=(stopped,), name="replica", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            # Not for long: if the store does not answer, the document expires.
            thread.join(_WITHDRAW_SECONDS)

    def announce(self) -> None:
        """Write the document. Raises StoreError."""
        now = self._clock.now()
        first = Replica(name=self._name, key_ids=self._key_ids, started_at=now, seen_at=now)
        self._documents.update(
            self._key, lambda there: first if there is None else there.model_copy(update={"seen_at": now})
        )

    def _run(self, stopped: threading.Event) -> None:
        failing = False
        while True:
            try:
                self.announce()
                failing = False
            except EngineError as error:
                if not failing:
                    LOG.warning("This replica cannot be announced to the others: %s", error.message)
                failing = True
            if stopped.wait(_REFRESH_SECONDS):
                break
        with suppress(EngineError):
            self._store.delete(self._key)
