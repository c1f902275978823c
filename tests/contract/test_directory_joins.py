"""Processes that join an upload to a directory store: only in its folder, and only while it is open."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.stores import DirectoryStore
from engine.stores.port import Staging

CSV = "text/csv"


@pytest.mark.parametrize("handle", ["../../etc", "", "0" * 23, "g" * 24, "a/b"])
def test_an_invalid_upload_handle_is_refused(tmp_path: Path, handle: str) -> None:
    with pytest.raises(ValueError, match="handle"):
        DirectoryStore(tmp_path).join("k", handle)


def test_a_joined_upload_that_has_ended_accepts_no_block(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    upload = store.begin("k", content_type=CSV)
    other = store.join("k", upload.handle)
    upload.abort()
    with pytest.raises(StoreError, match="has ended"):
        other.stage(0, b"late")
    with pytest.raises(StoreError, match="has ended"):
        store.join("k", upload.handle)
    assert list((tmp_path / ".staging").iterdir()) == []


def test_abort_removes_the_blocks_of_processes_that_are_still_staging(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)

    def stage(ghost: Staging) -> None:
        ordinal = itertools.count()
        with suppress(StoreError):
            while time.monotonic() < deadline:
                ghost.stage(next(ordinal), b"ghost")

    for _ in range(40):
        deadline = time.monotonic() + 0.5
        upload = store.begin("k", content_type=CSV)
        joined = [store.join("k", upload.handle) for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            ghosts = [pool.submit(stage, ghost) for ghost in joined]
            time.sleep(0.005)
            upload.abort()
        for ghost in ghosts:
            ghost.result()
        assert list((tmp_path / ".staging").glob("*")) == []
