"""Azurite on disk, made anew when it has taken much.

It keeps the bytes of deleted blobs for minutes, and a process that has taken some GB spends up to twice as much
processor time on the next ones, which whoever comes after would pay for. So did one that had waited for some seconds:
V8's incremental marking then begins anew at each 64 MB that arrive (200 full collections instead of 2, and 27.6 s of
processor time instead of 13.5 s for 10 M rows as CSV). Whoever prepares for long before the first byte would pay for
that, so it is off: 3 collections, 15.6 s.
"""

import shutil
from pathlib import Path
from typing import Self

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, ContainerClient, generate_blob_sas

from tests.helpers.azurite import ACCOUNT, KEY, Azurite, connection_string

CONTAINER = "bench"
_NODE_OPTIONS = ("--no-incremental-marking",)
MOST_BYTES = 200 * 1000**2
"""What an emulator may have taken before it is made anew for the next measurement."""
LEAST_FREE_BYTES = 4 * 1000**3


class Emulator:
    """One emulator at a time, with one container that is empty between measurements."""

    def __init__(self) -> None:
        self._azurite = Azurite(*_NODE_OPTIONS)
        self._written = 0
        self._make_container()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._azurite.stop()

    @property
    def port(self) -> int:
        """Where it listens; another one after it was made anew."""
        return self._azurite.port

    @property
    def pid(self) -> int:
        """Its process."""
        return self._azurite._process.pid

    @property
    def connection_string(self) -> str:
        """What a client needs."""
        return connection_string(self.port)

    def largest(self) -> tuple[str, int]:
        """The name and the size of the largest blob; ``("", 0)`` if there is none."""
        return max(((blob.name, blob.size) for blob in self._container().list_blobs()), key=_size, default=("", 0))

    def read_url(self, blob: str, expiry: str) -> str:
        """A URL by which a blob is read straight from the emulator."""
        signature = generate_blob_sas(
            ACCOUNT, CONTAINER, blob, account_key=KEY, permission=BlobSasPermissions(read=True), expiry=expiry
        )
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}/{CONTAINER}/{blob}?{signature}"

    def empty(self) -> None:
        """Delete all blobs; make the emulator anew if it holds too much (its port changes)."""
        container = self._container()
        for blob in container.list_blobs():
            self._written += blob.size
            container.delete_blob(blob.name)
        if self._written >= MOST_BYTES:
            self.renew()

    def renew(self) -> None:
        """A new emulator, with an empty disk."""
        self._azurite.stop()
        if shutil.disk_usage(Path(__file__).parent).free < LEAST_FREE_BYTES:
            raise RuntimeError("less than 4 GB are free on this disk: take fewer ROWS")
        self._azurite = Azurite(*_NODE_OPTIONS)
        self._written = 0
        self._make_container()

    def _container(self) -> ContainerClient:
        return BlobServiceClient.from_connection_string(self.connection_string).get_container_client(CONTAINER)

    def _make_container(self) -> None:
        try:
            self._container().create_container()
        except ResourceExistsError:
            return


def _size(blob: tuple[str, int]) -> int:
    return blob[1]
