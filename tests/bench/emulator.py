"""Azurite on disk, for what only a store that keeps its blobs like Azure can show.

It runs on the cores of the contenders, and computes a CRC-64 of each block in JavaScript (about 80 MB/s) unless a
Content-MD5 comes with the block. So peers are not compared on it.
"""

from typing import Self

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, ContainerClient, generate_blob_sas

from tests.bench.ideal import CONTAINER
from tests.helpers.azurite import ACCOUNT, KEY, Azurite

_NODE_OPTIONS = ("--no-incremental-marking",)
"""V8's incremental marking doubles the emulator's processor time once it has been idle for some seconds."""


class Emulator:
    """One emulator with one container; it ends with the ``with``."""

    def __enter__(self) -> Self:
        self._azurite = Azurite(*_NODE_OPTIONS)
        try:
            self.container.create_container()
        except ResourceExistsError:
            return self
        return self

    def __exit__(self, *exception: object) -> None:
        self._azurite.stop()

    @property
    def connection_string(self) -> str:
        """What a client needs."""
        return self._azurite.connection_string

    @property
    def container(self) -> ContainerClient:
        """The container as the SDK has it."""
        return BlobServiceClient.from_connection_string(self.connection_string).get_container_client(CONTAINER)

    def largest(self) -> tuple[str, int]:
        """The name and the size of the largest blob."""
        return max(((blob.name, blob.size) for blob in self.container.list_blobs()), key=lambda blob: blob[1])

    def read_url(self, blob: str, expiry: str) -> str:
        """A URL by which a blob is read straight from the emulator."""
        signature = generate_blob_sas(
            ACCOUNT, CONTAINER, blob, account_key=KEY, permission=BlobSasPermissions(read=True), expiry=expiry
        )
        return f"http://127.0.0.1:{self._azurite.port}/{ACCOUNT}/{CONTAINER}/{blob}?{signature}"
