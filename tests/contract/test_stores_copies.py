"""The contract of every object store for copies: it puts bytes of one object into another by itself."""

import errno
import hashlib
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from engine.errors import StoreError, StoreUnavailable
from engine.stores import DirectoryStore, ObjectStore, Upload, open_store
from engine.stores.azure.store import AzureStore
from engine.stores.marked import MarkedStore
from engine.stores.port import CopySource
from tests.contract.test_azure_delegation import Identity, KeyService
from tests.contract.test_azure_read_urls import asked
from tests.helpers.azurite import ACCOUNT, KEY, Azurite, connection_string
from tests.helpers.stores import on_azure

CONTENT = bytes(range(256)) * 40_000
TYPE = "application/vnd.apache.parquet"


def source_in(store: ObjectStore, key: str = "parts/a", content: bytes = CONTENT) -> CopySource:
    info = store.create(key, content, content_type=TYPE, metadata={})
    source = store.copy_source(key, etag=info.etag)
    assert source is not None
    assert store.can_copy(source)
    return source


def copied(upload: Upload, ordinal: int, source: CopySource, start: int, length: int, content: bytes = CONTENT) -> str:
    md5 = hashlib.md5(content[start : start + length], usedforsecurity=False).digest()
    return upload.stage_copy(ordinal, source, start=start, length=length, md5=md5)


def test_an_object_may_consist_of_ranges_of_others_and_of_bytes(store: ObjectStore) -> None:
    first, second = source_in(store), source_in(store, "parts/b", b"0123456789")
    upload = store.begin("exports/a", content_type=TYPE)
    ids = [
        upload.stage(0, b"head"),
        copied(upload, 1, first, 3, 2_000_001),
        copied(upload, 2, second, 0, 10, b"0123456789"),
        copied(upload, 3, first, len(CONTENT) - 1, 1),
        upload.stage(4, b"tail"),
    ]
    info = upload.commit(ids, metadata={"rows": "1"})

    whole = b"head" + CONTENT[3:2_000_004] + b"0123456789" + CONTENT[-1:] + b"tail"
    assert (info.size, info.content_type, info.metadata) == (len(whole), TYPE, {"rows": "1"})
    assert store.head("exports/a") == info
    assert store.read("exports/a") == whole
    assert store.read("parts/a") == CONTENT


def test_copies_may_be_staged_from_many_threads_in_any_order(store: ObjectStore) -> None:
    source = source_in(store)
    upload = store.begin("k", content_type=TYPE)
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda n: copied(upload, n, source, n * 1000, 1000), range(20)))
    upload.commit(ids[::-1], metadata={})
    assert store.read("k") == b"".join(CONTENT[n * 1000 : (n + 1) * 1000] for n in reversed(range(20)))


def _remove(store: ObjectStore) -> None:
    store.delete("parts/a")


def _replace(store: ObjectStore) -> None:
    info = store.head("parts/a")
    assert info is not None
    store.replace("parts/a", CONTENT, etag=info.etag)


@pytest.mark.parametrize("change", [_remove, _replace])
def test_a_copy_of_another_version_raises(store: ObjectStore, change: Callable[[ObjectStore], None]) -> None:
    source = source_in(store)
    upload = store.begin("k", content_type=TYPE)
    block = copied(upload, 0, source, 0, 10)
    change(store)
    with pytest.raises(StoreError) as raised:
        copied(upload, 1, source, 10, 10)
    assert not isinstance(raised.value, StoreUnavailable)
    # What was copied before is there, and what follows can still be written otherwise.
    upload.commit([block, upload.stage(1, b"x")], metadata={})
    assert store.read("k") == CONTENT[:10] + b"x"


@on_azure
def test_azure_refuses_to_copy_other_bytes_than_those_of_the_md5(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=TYPE)
    with pytest.raises(StoreError, match="Md5Mismatch"):
        copied(upload, 0, source_in(store), 0, 10, b"0123456789")


def test_an_upload_that_has_ended_copies_nothing(store: ObjectStore) -> None:
    source = source_in(store)
    upload = store.begin("k", content_type=TYPE)
    upload.abort()
    with pytest.raises(StoreError):
        copied(upload, 0, source, 0, 10)
    assert store.head("k") is None


def test_a_store_with_a_marker_copies_as_well(store: ObjectStore) -> None:
    source = source_in(MarkedStore(store, lambda: None))
    assert store.can_copy(source)


def test_stores_of_two_kinds_or_accounts_do_not_copy(tmp_path: Path) -> None:
    directory = DirectoryStore(tmp_path)
    here, there = (open_store("az://abc/p", connection_string=connection_string(port)) for port in (1, 2))
    sources = [store.copy_source("k", etag="1") for store in (directory, here, there)]
    accepted = [
        [source is not None and store.can_copy(source) for source in sources] for store in (directory, here, there)
    ]
    assert accepted == [[True, False, False], [False, True, False], [False, False, True]]


def test_a_directory_copies_in_python_if_the_kernel_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    store = DirectoryStore(tmp_path)
    upload = store.begin("k", content_type=TYPE)
    upload.commit([copied(upload, 0, source_in(store), 5, 3_000_000)], metadata={})
    assert store.read("k") == CONTENT[5:3_000_005]


def test_a_url_of_a_source_is_for_that_blob_and_expires_within_two_hours() -> None:
    store = open_store("az://abc/p", connection_string=connection_string(1))
    source = store.copy_source("parts/a", etag="1")
    assert source is not None
    given = asked(str(source.location))
    assert (given["sp"], given["sr"]) == ("r", "b")
    assert datetime.fromisoformat(given["se"]) < datetime.now(UTC) + timedelta(hours=2)
    assert given["sig"] not in repr(source)


def test_an_identity_signs_sources_with_a_user_delegation_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeyService()
    service = BlobServiceClient("https://acme.blob.core.windows.net", credential=Identity())
    monkeypatch.setattr(service, "get_user_delegation_key", keys.get_user_delegation_key)
    store = AzureStore(service, "results", "p")
    source = store.copy_source("k", etag="1")
    assert source is not None
    assert {"skoid", "ske", "sig"} <= set(asked(str(source.location)))
    assert AzureStore(service, "exports", "").can_copy(source)
    keys.failing = True
    refused = AzureStore(service, "results", "p")
    with pytest.raises(StoreUnavailable):
        refused.copy_source("k", etag="1")


@pytest.mark.azurite
def test_an_account_url_with_a_signature_copies_with_that(azurite: Azurite) -> None:
    container = f"test-{uuid.uuid4().hex}"
    BlobServiceClient.from_connection_string(azurite.connection_string).create_container(container)
    # The emulator refuses Put Block From URL with the signature of a whole account.
    signature = generate_container_sas(
        ACCOUNT,
        container,
        account_key=KEY,
        permission=ContainerSasPermissions(read=True, write=True, create=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    url = f"http://127.0.0.1:{azurite.port}/{ACCOUNT}?{signature}"
    store = open_store(f"az://{container}/p", account_url=url, create=False)
    assert store.read_urls() is None
    upload = store.begin("k", content_type=TYPE)
    upload.commit([copied(upload, 0, source_in(store), 1, 1000)], metadata={})
    assert store.read("k") == CONTENT[1:1001]
