"""What replicas announce about their signing keys, and what doctor says of it, in each order of a rotation."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.catalog.catalog import ResultStore
from engine.errors import StoreUnavailable
from engine.exports.sweep import ABANDONED_AFTER, Sweeper
from engine.stores import ObjectStore, open_store
from engine.stores.clock import StoreClock
from tests.helpers.running import wait_for
from tests.helpers.server import Server
from web.jobs import replicas
from web.jobs.replicas import LIVE_FOR, Announcement, Replica, live_replicas, missing_key_ids

_SECONDS = 30
OLD, NEW = "k1=" + "1" * 32, "k2=" + "2" * 32
PREFIX = "_tailrace/replicas/"


class Time(StoreClock):
    """The time of a store as a test sets it."""

    moment = datetime(2026, 11, 23, tzinfo=UTC)

    def __init__(self) -> None:
        """No store is asked."""

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(replicas, "StoreClock", lambda _: time)
    return time


def _announcement(store: ObjectStore, time: Time, name: str, *key_ids: str) -> Announcement:
    return Announcement(store, time, name=name, key_ids=key_ids)


def _pairs(store: ObjectStore) -> list[tuple[str, str, str]]:
    """Who lacks which key id, with which who signs."""
    found = missing_key_ids(live_replicas(store))
    return [(replica.name, other.key_ids[0], other.name) for replica, other in found]


@pytest.mark.parametrize(
    ("first", "second", "lacking"),
    [
        (["k1"], ["k1"], []),
        (["k1", "k2"], ["k1"], []),
        (["k1", "k2"], ["k2", "k1"], []),
        (["k2"], ["k2", "k1"], []),
        # The first replica signs with the new key before the second has it.
        (["k2", "k1"], ["k1"], [("b:1", "k2", "a:1")]),
        # The first one has dropped the old key, with which the second still signs.
        (["k2"], ["k1", "k2"], [("a:1", "k1", "b:1")]),
        (["k2"], ["k1"], [("a:1", "k1", "b:1"), ("b:1", "k2", "a:1")]),
    ],
)
def test_a_key_that_another_replica_signs_with_is_missing(
    store: ObjectStore, time: Time, first: list[str], second: list[str], lacking: list[tuple[str, str, str]]
) -> None:
    _announcement(store, time, "a:1", *first).announce()
    _announcement(store, time, "b:1", *second).announce()
    assert sorted(_pairs(store)) == lacking


def test_a_replica_that_is_not_seen_any_more_is_ignored(store: ObjectStore, time: Time) -> None:
    alive, killed = _announcement(store, time, "a:1", "k1"), _announcement(store, time, "b:1", "k2")
    alive.announce()
    killed.announce()
    started = time.moment
    time.moment += LIVE_FOR
    alive.announce()
    assert [one.name for one in live_replicas(store)] == ["a:1", "b:1"]
    time.moment += timedelta(seconds=1)
    assert live_replicas(store) == [
        Replica(name="a:1", key_ids=("k1",), started_at=started, seen_at=started + LIVE_FOR)
    ]


def test_a_damaged_document_is_left_out_and_replaced(
    store: ObjectStore, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    announcement = _announcement(store, time, "a:1", "k1")
    announcement.announce()
    (info,) = store.list(PREFIX)
    store.replace(info.key, b"{", etag=info.etag)
    assert live_replicas(store) == []
    assert info.key in caplog.text
    announcement.announce()
    assert [one.name for one in live_replicas(store)] == ["a:1"]


def test_a_replica_withdraws_when_it_stops(store: ObjectStore, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "_REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(replicas, "_WITHDRAW_SECONDS", _SECONDS)
    with _announcement(store, time, "a:1", "k1").running():
        wait_for(lambda: len(live_replicas(store)) == 1, _SECONDS)
        first = live_replicas(store)[0].seen_at
        time.moment += timedelta(seconds=60)
        wait_for(lambda: any(one.seen_at > first for one in live_replicas(store)), _SECONDS)
    assert list(store.list(PREFIX)) == []


def test_a_store_that_fails_is_logged_once_and_tried_again(
    tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(str(tmp_path))
    tries, right = [], threading.Event()
    head = store.head

    def failing(key: str) -> object:
        tries.append(key)
        if not right.is_set():
            raise StoreUnavailable("away")
        return head(key)

    monkeypatch.setattr(store, "head", failing)
    monkeypatch.setattr(replicas, "_REFRESH_SECONDS", 0.01)
    with _announcement(store, time, "a:1", "k1").running():
        wait_for(lambda: len(tries) > 3, _SECONDS)
        right.set()
        wait_for(lambda: len(live_replicas(store)) == 1, _SECONDS)
    assert caplog.text.count("cannot be announced") == 1


def test_what_killed_replicas_and_doctors_left_is_swept_after_a_day(store: ObjectStore, tmp_path: Path) -> None:
    store.create(f"{PREFIX}killed.json", b"{}", content_type="application/json", metadata={})
    store.create("_tailrace/doctor-killed", b"x", content_type="text/plain", metadata={})
    results, now = ResultStore(store), datetime.now(UTC)

    def swept(after: timedelta, *, dry_run: bool = False) -> int:
        sweeper = Sweeper(results, store, tmp_path / "spill", now=now + after, dry_run=dry_run)
        return sweeper.sweep().removed["service documents"]

    assert swept(ABANDONED_AFTER - timedelta(minutes=5)) == 0
    assert swept(ABANDONED_AFTER + timedelta(minutes=5), dry_run=True) == 2
    assert len(list(store.list("_tailrace/"))) == 2
    assert swept(ABANDONED_AFTER + timedelta(minutes=5)) == 2
    assert list(store.list("_tailrace/")) == []


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[list[Server]]:
    """Two replicas: the second signs with a key that the first does not have."""
    store = str(tmp_path / "store"), dict[str, str]()
    with ExitStack() as running:
        yield [
            running.enter_context(Server(store, tmp_path, TAILRACE_SIGNING_KEYS=keys)) for keys in (OLD, f"{NEW},{OLD}")
        ]


def _findings(server: Server) -> list[tuple[str, str]]:
    found = json.loads(server.command("doctor", "--json", "--no-write").stdout)["findings"]
    return [(finding["level"], finding["text"]) for finding in found if finding["area"] == "replicas"]


def test_doctor_names_the_replica_that_lacks_a_key(deployment: list[Server]) -> None:
    behind, ahead = deployment
    names = [f"{os.uname().nodename}:{server.port}" for server in (behind, ahead)]
    wait_for(lambda: len(_documents(behind)) == 2, _SECONDS)
    ((level, text),) = _findings(behind)
    assert level == "problem"
    assert text.startswith(f"{names[0]} lacks the signing key k2, with which {names[1]} signs")
    for document in _documents(behind):
        assert not [secret for secret in ("1" * 32, "2" * 32) if secret in document]
    # It gets the key.
    behind.stop(signal.SIGTERM)
    behind.environment["TAILRACE_SIGNING_KEYS"] = f"{OLD},{NEW}"
    behind.start()
    wait_for(lambda: len(_documents(behind)) == 2, _SECONDS)
    ((level, text),) = _findings(behind)
    assert (level, text.startswith("2 replicas of the service")) == ("ok", True)
    for server in deployment:
        server.stop(signal.SIGTERM)
    assert _findings(behind) == [("ok", "0 replicas of the service; none lacks a signing key")]


def _documents(server: Server) -> list[str]:
    store = open_store(server.environment["TAILRACE_EXPORTS"])
    return [store.read(info.key).decode() for info in store.list(PREFIX)]
