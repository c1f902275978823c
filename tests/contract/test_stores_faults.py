"""The contract of every object store for hostile keys, unreachable stores and killed writers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidInput, StoreUnavailable
from engine.stores import DirectoryStore, ObjectStore, open_store
from tests.helpers.azurite import KEY, Azurite, connection_string, free_port

ROOT = Path(__file__).parents[2]

HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "a/",
    "/a",
    "a//b",
    ".",
    "..",
    "../x",
    "a/../b",
    "a/..",
    "a/./b",
    ".meta/a.json",
    ".lock",
    ".staging/x",
    "a/.hidden",
    "a\\b",
    "..\\x",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "é",
    "a\ud800",
    "a" * 201,
    "/".join(["a"] * 600),
]

CALLS: dict[str, Callable[[ObjectStore, str], object]] = {
    "head": lambda store, key: store.head(key),
    "read": lambda store, key: store.read(key),
    "stream": lambda store, key: list(store.stream(key, start=0, length=1, etag="x")),
    "create": lambda store, key: store.create(key, b"x", content_type="text/plain", metadata={}),
    "replace": lambda store, key: store.replace(key, b"x", etag="x"),
    "begin": lambda store, key: store.begin(key, content_type="text/plain"),
    "delete": lambda store, key: store.delete(key),
    "delete a version": lambda store, key: store.delete(key, etag="x"),
    "local_path": lambda store, key: store.local_path(key),
}


def test_hostile_keys_are_refused_everywhere(store: ObjectStore) -> None:
    for call in CALLS.values():
        for key in HOSTILE:
            with pytest.raises(ValueError, match="not a storage key"):
                call(store, key)
    assert list(store.list("")) == []


def test_hostile_prefixes_are_refused(store: ObjectStore) -> None:
    for prefix in ("/", "..", "../", "a/../", ".meta", ".meta/", "a/.", "a\\", "a\0", "//", "a//"):
        with pytest.raises(ValueError, match="not a prefix"):
            list(store.list(prefix))


def test_keys_made_of_ids_are_accepted(store: ObjectStore) -> None:
    keys = ["results/workflow=a..b/run=1-2_3./part-00000.parquet", "x" * 200, "a b/c+d%2F&?#=;,~'", "CON/nul"]
    for key in keys:
        store.create(key, key.encode(), content_type="text/plain", metadata={})
    assert [(info.key, store.read(info.key)) for info in store.list("")] == [(k, k.encode()) for k in sorted(keys)]


@pytest.mark.parametrize("location", ["", "s3://bucket/x", "http://host/c", "AZ://c", "az://", "az://A_B/x", "a\0b"])
def test_unsupported_locations_are_refused_with_a_remedy(location: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store(location, connection_string=connection_string(1))
    assert caught.value.details["remedy"]


def test_azure_needs_a_connection_string_or_an_account_url() -> None:
    both: dict[str, Any] = {"connection_string": connection_string(1), "account_url": "https://x.blob.core.windows.net"}
    for options in ({}, both):
        with pytest.raises(InvalidInput):
            open_store("az://container/prefix", **options)


@pytest.mark.parametrize("text", ["nonsense", f"AccountKey={KEY}", "AccountName=x;AccountKey"])
def test_a_malformed_connection_string_is_not_quoted(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store("az://container/prefix", connection_string=text)
    assert text not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize("call", [name for name in CALLS if name != "local_path"])
def test_a_directory_store_whose_root_is_a_file_is_unavailable(call: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = DirectoryStore(tmp_path / "file")
    attempts: list[Callable[[], object]] = [
        store.check,
        lambda: list(store.list("")),
        lambda: CALLS[call](store, "a/b"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreUnavailable) as caught:
            attempt()
        assert str(tmp_path) not in str(caught.value)


def test_a_store_on_a_closed_port_is_unavailable_within_30_seconds() -> None:
    store = open_store("az://container/prefix", connection_string=connection_string(free_port()))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        store.check()
    assert time.monotonic() - began < 30
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.azurite
def test_a_wrong_key_raises_store_unavailable_and_is_not_quoted(azurite: Azurite) -> None:
    wrong = KEY.replace("Eby8", "AAAA")
    store = open_store("az://container/p", connection_string=azurite.connection_string.replace(KEY, wrong))
    calls: list[Callable[[], object]] = [store.check, lambda: store.head("k"), lambda: list(store.list(""))]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="refused the credential") as caught:
            call()
        assert wrong not in f"{caught.value} {caught.value.__cause__}"


WRITER = """
import os, sys
from engine.stores import open_store
store = open_store(sys.argv[1], connection_string=os.environ.get("AZURE_STORAGE_CONNECTION_STRING"))
upload = store.begin("exports/killed.csv", content_type="text/csv")
for ordinal in range(50_000):
    upload.stage(ordinal, b"x" * 100_000)
    print(ordinal, flush=True)
"""


def test_a_writer_killed_in_mid_upload_leaves_no_visible_object(
    store: ObjectStore, store_url: tuple[str, dict[str, str]]
) -> None:
    location, environment = store_url
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, location],
        env={**os.environ, **environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    with writer, writer.stdout:
        while writer.stdout.readline() not in (b"3\n", b""):
            pass
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL

    assert store.head("exports/killed.csv") is None
    assert list(store.list("")) == []
    upload = store.begin("exports/killed.csv", content_type="text/csv")
    upload.commit([upload.stage(0, b"again")], metadata={})
    assert store.read("exports/killed.csv") == b"again"
