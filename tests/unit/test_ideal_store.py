"""The bench's ideal store answers the real SDK as Azure does, and drops what it is told to drop."""

from collections.abc import Iterator

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobServiceClient, ContainerClient

from tests.bench.ideal import CONTAINER, Ideal
from tests.bench.ideal_store import KEPT_BYTES

LARGE = bytes(range(256)) * (KEPT_BYTES // 256 + 1)


@pytest.fixture(scope="module")
def store() -> Iterator[Ideal]:
    with Ideal() as running:
        yield running


@pytest.fixture
def container(store: Ideal) -> ContainerClient:
    store.empty()
    store.keep(on=True)
    service = BlobServiceClient.from_connection_string(store.connection_string, retry_total=0)
    return service.get_container_client(CONTAINER)


def test_blocks_become_a_blob_in_the_order_of_the_list(container: ContainerClient) -> None:
    blob = container.get_blob_client("a folder/ä.csv")
    for name, data in (("b", LARGE), ("a", b"first"), ("c", b"unused")):
        blob.stage_block(name, data)
    with pytest.raises(ResourceNotFoundError):
        blob.get_blob_properties()
    with pytest.raises(HttpResponseError, match="InvalidBlockList"):
        blob.commit_block_list([BlobBlock("missing")])
    blob.commit_block_list([BlobBlock("a"), BlobBlock("b")], metadata={"rows": "7"})
    assert blob.download_blob().readall() == b"first" + LARGE
    assert blob.download_blob(3, 5).readall() == b"st" + LARGE[:3]
    properties = blob.get_blob_properties()
    assert (properties.size, properties.metadata) == (5 + len(LARGE), {"rows": "7"})


def test_a_block_may_come_from_another_blob(store: Ideal, container: ContainerClient) -> None:
    source, target = container.get_blob_client("source"), container.get_blob_client("target")
    source.upload_blob(b"0123456789")
    target.stage_block_from_url("a", source.url, source_offset=2, source_length=3)
    target.stage_block_from_url("b", source.url)
    target.commit_block_list([BlobBlock("b"), BlobBlock("a")])
    assert target.download_blob().readall() == b"0123456789234"
    with pytest.raises(ResourceNotFoundError):
        target.stage_block_from_url("c", container.get_blob_client("missing").url)
    with pytest.raises(HttpResponseError, match="SourceConditionNotMet"):
        target.stage_block_from_url("c", source.url, headers={"x-ms-source-if-match": '"0x2"'})
    # Without keeping bodies, the length is right all the same.
    store.keep(on=False)
    target.stage_block_from_url("d", source.url)
    target.commit_block_list([BlobBlock("d")])
    assert target.get_blob_properties().size == 10


def test_conditions_hold(container: ContainerClient) -> None:
    blob = container.get_blob_client("one")
    first = blob.upload_blob(b"1", overwrite=False)["etag"]
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"2", overwrite=False)
    blob.upload_blob(b"2", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    stale = MatchConditions.IfNotModified
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(b"3", overwrite=True, etag=first, match_condition=stale)
    with pytest.raises(ResourceModifiedError):
        blob.download_blob(etag=first, match_condition=stale)
    with pytest.raises(ResourceModifiedError):
        blob.delete_blob(etag=first, match_condition=stale)
    assert blob.download_blob().readall() == b"2"
    blob.delete_blob()
    with pytest.raises(ResourceNotFoundError):
        blob.delete_blob()


def test_lists_have_pages_prefixes_and_folders(container: ContainerClient) -> None:
    names = sorted(f"{folder}/{number}&.csv" for folder in ("a", "b<") for number in range(7))
    for name in names:
        container.upload_blob(name, name.encode())
    pages = [[blob.name for blob in page] for page in container.list_blobs(results_per_page=4).by_page()]
    assert [len(page) for page in pages] == [4, 4, 4, 2]
    assert [name for page in pages for name in page] == names
    assert [blob.size for blob in container.list_blobs(name_starts_with="b<")] == [9] * 7
    folders = [[one.name for one in page] for page in container.walk_blobs(results_per_page=1).by_page()]
    assert [name for page in folders for name in page] == ["a/", "b</"]


def test_large_bodies_are_dropped_and_never_served(store: Ideal, container: ContainerClient) -> None:
    store.keep(on=False)
    blob = container.get_blob_client("dropped")
    blob.upload_blob(LARGE)
    assert store.largest() == ("dropped", len(LARGE))
    with pytest.raises(HttpResponseError, match="BodyDropped"):
        blob.download_blob().readall()
    small = container.get_blob_client("kept")
    small.upload_blob(b"{}")
    assert small.download_blob().readall() == b"{}"
