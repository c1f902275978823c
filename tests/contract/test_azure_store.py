"""The Azure store beyond the port: lost responses, slow connections, limited permissions, no secret in an error."""

import subprocess
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import (
    AccountSasPermissions,
    BlobClient,
    BlobServiceClient,
    ResourceTypes,
    generate_account_sas,
)

from engine.bootstrap import open_unmarked
from engine.errors import InvalidInput, ObjectMissing, StoreError, StoreUnavailable
from engine.settings import AzureChecksum, StorageSettings
from engine.stores import open_store
from engine.stores.azure import client
from engine.stores.azure.store import AzureStore
from tests.helpers.azurite import ACCOUNT, KEY, Azurite, connection_string
from tests.helpers.fault_proxy import BLOCK, Fault, FaultProxy
from tests.helpers.slow_server import SlowServer

ROOT = Path(__file__).parents[2]
CSV = "text/csv"


@pytest.fixture
def service(azurite: Azurite) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(azurite.connection_string)


@pytest.fixture
def container(service: BlobServiceClient) -> str:
    return service.create_container(f"test-{uuid.uuid4().hex}").container_name


@pytest.fixture
def azure(azurite: Azurite, container: str) -> AzureStore:
    store = open_store(f"az://{container}/p", connection_string=azurite.connection_string)
    assert isinstance(store, AzureStore)
    return store


def sent_twice(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Simulate a lost response: the service has done the request, and the SDK repeats it."""
    original: Callable[..., Any] = getattr(BlobClient, method)

    def twice(self: BlobClient, *arguments: Any, **options: Any) -> Any:
        original(self, *arguments, **options)
        return original(self, *arguments, **options)

    monkeypatch.setattr(BlobClient, method, twice)


@pytest.mark.azurite
def test_a_commit_whose_response_was_lost_succeeds(azure: AzureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sent_twice(monkeypatch, "commit_block_list")
    upload = azure.begin("k", content_type=CSV)
    info = upload.commit([upload.stage(0, b"x")], metadata={"rows": "1"})
    assert azure.head("k") == info
    assert info.metadata == {"rows": "1"}


@pytest.mark.azurite
def test_a_create_and_a_replace_whose_responses_were_lost_succeed(
    azure: AzureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_twice(monkeypatch, "upload_blob")
    first = azure.create("k", b"1", content_type=CSV, metadata={"rows": "1"})
    second = azure.replace("k", b"22", etag=first.etag)
    assert azure.head("k") == second
    assert (azure.read("k"), second.metadata) == (b"22", {"rows": "1"})


@pytest.mark.azurite
def test_replacing_an_object_that_is_removed_meanwhile_raises_object_missing(
    azure: AzureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = azure.create("k", b"1", content_type=CSV, metadata={})
    original = BlobClient.upload_blob

    def late(self: BlobClient, *arguments: Any, **options: Any) -> Any:
        azure.delete("k")
        return original(self, *arguments, **options)

    monkeypatch.setattr(BlobClient, "upload_blob", late)
    with pytest.raises(ObjectMissing):
        azure.replace("k", b"2", etag=first.etag)


@pytest.mark.azurite
@pytest.mark.parametrize(
    ("checksum", "refusal"), [("md5", "Md5Mismatch"), ("crc64", "Crc64Mismatch"), ("auto", "Md5Mismatch")]
)
def test_a_block_that_is_changed_on_the_way_is_refused(
    azurite: Azurite, container: str, checksum: AzureChecksum, refusal: str
) -> None:
    block = b"abc" * 100_000
    with FaultProxy(azurite.port) as proxy:
        settings = StorageSettings(
            results=f"az://{container}/p", azure_connection_string=proxy.connection_string, azure_checksum=checksum
        )
        store = open_unmarked(settings, "results")
        upload = store.begin("k", content_type=CSV)
        proxy.inject(Fault(BLOCK, "changed", times=1))
        with pytest.raises(StoreError, match=refusal):
            upload.stage(0, block)
        assert proxy.hit == 1
        upload.commit([upload.stage(0, memoryview(block)[1:])], metadata={})
        assert store.read("k") == block[1:]


@pytest.mark.azurite
def test_a_commit_of_the_wrong_size_is_removed(azure: AzureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    original = BlobClient.stage_block

    def short(self: BlobClient, block_id: str, data: Iterable[bytes], length: int, **options: Any) -> Any:
        del options["headers"]
        return original(self, block_id, b"".join(data)[:-1], length=length - 1, **options)

    monkeypatch.setattr(BlobClient, "stage_block", short)
    upload = azure.begin("k", content_type=CSV)
    with pytest.raises(StoreError, match="Size mismatch"):
        upload.commit([upload.stage(0, b"abc")], metadata={})
    assert azure.head("k") is None


@pytest.mark.azurite
def test_keys_do_not_include_the_prefix(azure: AzureStore, service: BlobServiceClient, container: str) -> None:
    azure.create("a/b", b"x", content_type=CSV, metadata={})
    client = service.get_container_client(container)
    client.upload_blob("a/b", b"not below the prefix")
    client.upload_blob("pp", b"nor this")
    assert sorted(client.list_blob_names()) == ["a/b", "p/a/b", "pp"]
    assert [info.key for info in azure.list("")] == ["a/b"]
    assert client.get_blob_client("p/a/b").get_blob_properties().content_settings.content_type == CSV


@pytest.mark.azurite
def test_a_store_without_a_prefix_uses_the_whole_container(azurite: Azurite, container: str) -> None:
    for location in (f"az://{container}", f"az://{container}/"):
        store = open_store(location, connection_string=azurite.connection_string)
        assert store.delete("a") is False
        assert store.create("a", b"x", content_type=CSV, metadata={}).key == "a"
        assert [info.key for info in store.list("")] == ["a"]
        store.delete("a")


def signed_url(azurite: Azurite, port: int | None = None) -> str:
    """An account URL whose signature allows operations on blobs, but not on containers."""
    signature = generate_account_sas(
        ACCOUNT,
        KEY,
        resource_types=ResourceTypes(object=True),
        permission=AccountSasPermissions(read=True, write=True, create=True, delete=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"http://127.0.0.1:{port or azurite.port}/{ACCOUNT}?{signature}"


@pytest.mark.azurite
def test_a_signature_for_blobs_alone_is_enough_if_the_container_exists(azurite: Azurite, container: str) -> None:
    store = open_store(f"az://{container}/p", account_url=signed_url(azurite))
    store.check()
    upload = store.begin("k", content_type=CSV)
    upload.commit([upload.stage(0, b"x")], metadata={})
    assert store.read("k") == b"x"


@pytest.mark.azurite
def test_a_missing_container_that_cannot_be_created_raises_store_unavailable(azurite: Azurite) -> None:
    store = open_store("az://never-made/p", account_url=signed_url(azurite))
    assert store.head("k") is None
    upload = store.begin("k", content_type=CSV)
    for call in (
        store.check,
        lambda: store.create("k", b"x", content_type=CSV, metadata={}),
        lambda: upload.stage(0, b"x"),
    ):
        with pytest.raises(StoreUnavailable, match="container is missing"):
            call()


@pytest.mark.azurite
def test_no_signature_is_in_an_error_or_its_traceback(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(client._RETRIES, "retry_total", 0)
    signed = signed_url(azurite)
    for url in (signed_url(azurite, port=1), signed.replace("sig=", "sig=00")):
        store = open_store("az://container/p", account_url=url)
        with pytest.raises(StoreUnavailable) as caught:
            store.head("k")
        text = "".join(traceback.format_exception(caught.value))
        assert "AzureFailure" in text
        assert "sig=" not in text
        assert url.partition("sig=")[2] not in text


def test_the_connect_timeout_does_not_limit_a_large_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.3)
    monkeypatch.setitem(client._RETRIES, "retry_total", 0)
    block = bytes(6 * 1024 * 1024)
    with SlowServer(bytes_per_second=4 * 1024 * 1024) as server:
        store = open_store("az://container/p", connection_string=connection_string(server.port))
        store.begin("k", content_type=CSV).stage(0, block)
    assert server.received == len(block)


def test_an_account_url_without_azure_identity_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(InvalidInput) as caught:
        open_store("az://container/p", account_url="https://account.blob.core.windows.net")
    assert caught.value.details["remedy"] == "pip install tailrace[azure]"


def test_an_identity_is_never_sent_over_http() -> None:
    with pytest.raises(InvalidInput):
        open_store("az://container/p", account_url="http://account.blob.core.windows.net")


def test_the_sdk_is_not_loaded_for_a_directory() -> None:
    code = "import sys, engine.stores; engine.stores.open_store('x'); sys.exit('azure' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
