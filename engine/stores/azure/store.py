"""Azure Blob Storage as an object store: an object is one block blob.

The SDK may send a write twice whose answer was lost, and then be refused by its own first try. So every write carries a
nonce in the metadata, by which a blob that is there already is known as the one just written.
"""

import re
import secrets
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient, ContentSettings

from engine.errors import InvalidInput, ObjectChanged, ObjectExists, ObjectMissing, StoreError
from engine.stores.azure.client import BULK_READ_SECONDS, code_of, open_service, raising_store_errors
from engine.stores.azure.download import body_of
from engine.stores.azure.sas import azure_read_urls
from engine.stores.azure.upload import AzureUpload
from engine.stores.port import ObjectInfo, ReadUrls, Staging, Upload
from engine.stores.validation import RESERVED_METADATA, checked_key, checked_metadata, checked_prefix, checked_range

_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*")


def azure_store(
    container: str, prefix: str, *, connection_string: str | None, account_url: str | None, create: bool = True
) -> "AzureStore":
    """A store in that container; an account URL without a signature uses the machine's own Azure identity.

    Raises InvalidInput for names that Azure does not take, and unless exactly one way in is given.
    """
    if not _CONTAINER.fullmatch(container):
        raise InvalidInput(
            "That is not the name of an Azure container.",
            remedy="Use 3 to 63 lower-case letters, digits and single hyphens.",
        )
    service = open_service(connection_string, account_url)
    try:
        return AzureStore(service, container, prefix, create=create)
    except ValueError as error:
        raise InvalidInput(
            "That prefix cannot begin the names of objects.", remedy="Write az://container/folder/folder."
        ) from error


class AzureStore:
    """Blobs below ``prefix/`` of one container; with ``create``, the first write makes the container if needed."""

    def __init__(self, service: BlobServiceClient, container: str, prefix: str, *, create: bool = True) -> None:
        self._prefix = f"{checked_key(prefix)}/" if prefix else ""
        self._container = service.get_container_client(container)
        self._container_made = not create
        self._mutex = Lock()
        self._read_urls = azure_read_urls(service, self._blob)

    def head(self, key: str) -> ObjectInfo | None:
        """The object, or None; blocks that wait for their commit are none."""
        found = self._found(key, self._blob(key))
        return None if found is None else found[0]

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version; ``b""`` beyond its end."""
        checked_range(start, length)
        blob = self._blob(key)
        try:
            with raising_store_errors():
                data = None if length == 0 else _download(blob, start, length, etag)
        except ObjectChanged:
            # A blob that is gone is not what If-Match wants either, and the answer is the same.
            self._require_current(key, blob, etag)
            raise
        if data is None:
            self._require_current(key, blob, etag)
        return data or b""

    def stream(self, key: str, *, start: int, length: int, etag: str) -> Generator[bytes, None, None]:
        """One request for all of it, pinned to the version; a connection that breaks costs another for the rest."""
        checked_range(start, length)
        blob = self._blob(key)
        if not length:
            self._require_current(key, blob, etag)
        try:
            with raising_store_errors():
                yield from body_of(blob, start, length, etag)
        except ObjectChanged:
            self._require_current(key, blob, etag)
            raise

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Write a new object by one request. Raises ObjectExists if the key is taken."""
        blob = self._blob(key)
        metadata = checked_metadata(metadata)
        self._make_container()
        return self._put(key, blob, data, content_type, metadata, etag=None)

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write the next version if ``etag`` is still current. Raises ObjectChanged or ObjectMissing."""
        blob = self._blob(key)
        current = self._require_current(key, blob, etag)
        return self._put(key, blob, data, current.content_type, current.metadata, etag=etag)

    def begin(self, key: str, *, content_type: str) -> Upload:
        """Start an upload of blocks."""
        blob = self._blob(key)
        self._make_container()
        return AzureUpload(blob, secrets.token_hex(6), content_type, lambda: self._found(key, blob))

    def join(self, key: str, handle: str) -> Staging:
        """Blocks of a blob need no more than its name; the handle says nothing."""
        del handle
        blob = self._blob(key)
        return AzureUpload(blob, secrets.token_hex(6), "", lambda: self._found(key, blob))

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """Remove the object, or only that version of it; False if there was none."""
        blob = self._blob(key)
        try:
            with raising_store_errors():
                # Without a condition, the emulator would delete the blocks that wait for a commit.
                blob.delete_blob(**(_pinned(etag) or {"match_condition": MatchConditions.IfPresent}))
        except (ObjectMissing, ObjectChanged):
            return False
        return True

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Committed blobs by key, without metadata."""
        begins = self._prefix + checked_prefix(prefix)
        with raising_store_errors():
            try:
                for properties in self._container.list_blobs(name_starts_with=begins):
                    yield _info(properties.name.removeprefix(self._prefix), properties)[0]
            except ResourceNotFoundError:
                return

    def local_path(self, key: str) -> Path | None:
        """None: blobs are not files."""
        checked_key(key)
        return None

    def read_urls(self) -> ReadUrls | None:
        """Shared access signatures, unless the way in is one itself."""
        return self._read_urls

    def remove_leftovers(self, before: datetime, *, dry: bool = False) -> tuple[int, int]:  # noqa: ARG002  # the port
        """None: Azure itself drops blocks that nobody committed within 7 days."""
        return 0, 0

    def check(self) -> None:
        """Ask for a blob of the container, which is made before if this store may do so."""
        blob = self._blob("check")
        self._make_container()
        with raising_store_errors(creating=True):
            try:
                blob.get_blob_properties()
            except ResourceNotFoundError as error:
                if code_of(error) == "ContainerNotFound":
                    raise

    def _blob(self, key: str) -> BlobClient:
        return self._container.get_blob_client(self._prefix + checked_key(key))

    def _make_container(self) -> None:
        """Once per store, and only by writers: whoever may only read never asks for it."""
        with self._mutex:
            if self._container_made:
                return
            with raising_store_errors(creating=True):
                try:
                    self._container.create_container()
                except ResourceExistsError:
                    pass
                except HttpResponseError as error:
                    # It may be there all the same; if it is not, the write itself will say so.
                    if error.status_code not in (401, 403):
                        raise
            self._container_made = True

    def _found(self, key: str, blob: BlobClient) -> tuple[ObjectInfo, str] | None:
        with raising_store_errors():
            try:
                return _info(key, blob.get_blob_properties())
            except ResourceNotFoundError:
                return None

    def _require_current(self, key: str, blob: BlobClient, etag: str | None) -> ObjectInfo:
        found = self._found(key, blob)
        if found is None:
            raise ObjectMissing("The object is not there.")
        if etag is not None and found[0].etag != etag:
            raise ObjectChanged("The object was changed by someone else.")
        return found[0]

    def _put(
        self, key: str, blob: BlobClient, data: bytes, content_type: str, metadata: Mapping[str, str], etag: str | None
    ) -> ObjectInfo:
        """Write the blob where there is none (``etag`` None), or in the place of that version."""
        nonce = secrets.token_hex(6)
        try:
            with raising_store_errors(creating=etag is None):
                answer = blob.upload_blob(
                    data,
                    length=len(data),
                    overwrite=etag is not None,
                    content_settings=ContentSettings(content_type=content_type),
                    metadata={**metadata, RESERVED_METADATA: nonce},
                    validate_content=True,
                    read_timeout=BULK_READ_SECONDS,
                    **_pinned(etag),
                )
        except (ObjectExists, ObjectChanged):
            found = self._found(key, blob)
            if found is not None and found[1] == nonce:
                return found[0]
            if found is None and etag is not None:
                raise ObjectMissing("The object is not there.") from None
            raise
        return ObjectInfo(key, len(data), _bare(answer["etag"]), answer["last_modified"], content_type, dict(metadata))


def _download(blob: BlobClient, start: int, length: int | None, etag: str | None) -> bytes | None:
    """The bytes, or None if the version has none from ``start`` on."""
    try:
        download = blob.download_blob(start, length, decompress=False, read_timeout=BULK_READ_SECONDS, **_pinned(etag))
        data: bytes = download.readall()
    except HttpResponseError as error:
        if error.status_code == 416:
            return None
        raise
    if len(data) != download.size:
        raise StoreError("The object ended before the requested range did.")
    return data


def _info(key: str, properties: BlobProperties) -> tuple[ObjectInfo, str]:
    """The port's view of a blob, and the nonce of the write that made it."""
    metadata = dict(properties.metadata or {})
    nonce = metadata.pop(RESERVED_METADATA, "")
    content_type = properties.content_settings.content_type or "application/octet-stream"
    etag = _bare(properties.etag)
    return ObjectInfo(key, properties.size, etag, properties.last_modified, content_type, metadata), nonce


def _bare(etag: str) -> str:
    """The ETag without quotes: a listing has none, every other answer does."""
    return etag.strip('"')


def _pinned(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
