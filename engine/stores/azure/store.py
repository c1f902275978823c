"""Azure Blob Storage as an object store. Each object is a block blob.

The SDK repeats a write whose response was lost, and the repetition fails because the first one succeeded. So every
write has a nonce in its metadata, which identifies an existing blob as the one just written.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient, ContentSettings

from engine.errors import InvalidInput, ObjectChanged, ObjectExists, ObjectMissing, StoreError, StoreUnavailable
from engine.settings import AzureChecksum
from engine.stores.azure.checksum import block_headers
from engine.stores.azure.client import BULK_READ_SECONDS, error_code, open_service, raising_store_errors
from engine.stores.azure.download import BlobChunks
from engine.stores.azure.sas import azure_read_urls
from engine.stores.azure.upload import AzureUpload
from engine.stores.object_stream import ObjectStream
from engine.stores.port import CopySource, ObjectInfo, ReadUrls, Staging, Upload
from engine.stores.validation import RESERVED_METADATA, checked_key, checked_metadata, checked_prefix, checked_range

_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*")

COPY_LIFETIME = timedelta(hours=1)
"""Of the signature with which the service reads the source of a copy."""


def azure_store(
    container: str,
    prefix: str,
    *,
    connection_string: str | None,
    account_url: str | None,
    checksum: AzureChecksum = "auto",
    create: bool = True,
) -> "AzureStore":
    """A store in that container; an account URL without a SAS uses DefaultAzureCredential. Makes no request.

    Raises InvalidInput for an invalid container or prefix, for a checksum that needs a missing package, and unless
    exactly one of connection string and account URL is given.
    """
    if not _CONTAINER.fullmatch(container):
        raise InvalidInput(
            "Invalid name of an Azure container.",
            remedy="Use 3 to 63 lower-case letters, digits and single hyphens.",
        )
    service = open_service(connection_string, account_url)
    try:
        return AzureStore(service, container, prefix, checksum=checksum, create=create)
    except ValueError as error:
        raise InvalidInput(
            "Invalid prefix of a storage location.", remedy="Use az://container/folder/folder."
        ) from error


class AzureStore:
    """The blobs of one container below ``prefix/``; with ``create``, the first write creates a missing container."""

    def __init__(
        self,
        service: BlobServiceClient,
        container: str,
        prefix: str,
        *,
        checksum: AzureChecksum = "auto",
        create: bool = True,
    ) -> None:
        self._prefix = f"{checked_key(prefix)}/" if prefix else ""
        self._container = service.get_container_client(container)
        self._container_exists = not create
        self._mutex = Lock()
        self._read_urls = azure_read_urls(service, self._blob)
        self._block_headers = block_headers(checksum, service.account_name or "", service.url)

    def head(self, key: str) -> ObjectInfo | None:
        """The object, or None; uncommitted blocks are not an object."""
        found = self._find(key, self._blob(key))
        return None if found is None else found[0]

    def read(self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None) -> bytes:
        """Bytes of one version; ``b""`` beyond its end."""
        checked_range(start, length)
        blob = self._blob(key)
        try:
            with raising_store_errors():
                data = None if length == 0 else _download(blob, start, length, etag)
        except ObjectChanged:
            # If-Match also fails if the blob does not exist.
            self._require_current(key, blob, etag)
            raise
        if data is None:
            self._require_current(key, blob, etag)
        return data or b""

    def stream(self, key: str, *, start: int, length: int, etag: str) -> ObjectStream:
        """One request for that version, and another for the rest if its connection breaks or is released."""
        checked_range(start, length)
        make_client = partial(self._blob, key)

        def check_version() -> None:
            self._require_current(key, make_client(), etag)

        if not length:
            check_version()
        return BlobChunks(make_client, start, length, etag, check_version)

    def create(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> ObjectInfo:
        """Write a new object with one request. Raises ObjectExists if the key is taken."""
        blob = self._blob(key)
        metadata = checked_metadata(metadata)
        self._create_container()
        return self._put(key, blob, data, content_type, metadata, etag=None)

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write the next version if ``etag`` is current. Raises ObjectChanged or ObjectMissing."""
        blob = self._blob(key)
        current = self._require_current(key, blob, etag)
        return self._put(key, blob, data, current.content_type, current.metadata, etag=etag)

    def begin(self, key: str, *, content_type: str) -> Upload:
        """Begin an upload of blocks."""
        blob = self._blob(key)
        self._create_container()
        return self._upload(key, blob, content_type)

    def join(self, key: str, handle: str) -> Staging:
        """Join an upload. Azure needs only the name of the blob; the handle is empty."""
        del handle
        blob = self._blob(key)
        return self._upload(key, blob, "")

    def delete(self, key: str, *, etag: str | None = None) -> bool:
        """Remove the object, or only that version of it; False if there was none."""
        blob = self._blob(key)
        try:
            with raising_store_errors():
                # Without a condition, the emulator would delete uncommitted blocks.
                blob.delete_blob(**(_if_match(etag) or {"match_condition": MatchConditions.IfPresent}))
        except (ObjectMissing, ObjectChanged):
            return False
        return True

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Committed blobs in key order, without metadata."""
        full_prefix = self._prefix + checked_prefix(prefix)
        with raising_store_errors():
            try:
                for properties in self._container.list_blobs(name_starts_with=full_prefix):
                    yield _info(properties.name.removeprefix(self._prefix), properties)[0]
            except ResourceNotFoundError:
                return

    def local_path(self, key: str) -> Path | None:
        """None: blobs are not files."""
        checked_key(key)
        return None

    def read_urls(self) -> ReadUrls | None:
        """The maker of shared access signatures, or None if the credential is one itself."""
        return self._read_urls

    def copy_source(self, key: str, *, etag: str) -> CopySource | None:
        """The blob's URL with a shared access signature: the account URL's if it has one."""
        if self._read_urls is not None:
            return CopySource(self._read_urls.read_url(key, expires=datetime.now(UTC) + COPY_LIFETIME), etag)
        url = self._blob(key).url
        return CopySource(url, etag) if "?" in url else None

    def can_copy(self, source: CopySource) -> bool:
        """Whether the source is a blob of the same account."""
        return urlsplit(str(source.location)).netloc == urlsplit(self._container.url).netloc

    def remove_leftovers(self, before: datetime, *, dry_run: bool = False) -> tuple[int, int]:  # noqa: ARG002  # the port
        """(0, 0): Azure removes uncommitted blocks after 7 days."""
        return 0, 0

    def check(self) -> datetime:
        """Request the properties of a blob, after creating the container if this store may do so."""
        blob = self._blob("check")
        self._create_container()
        dates: list[str] = []
        with raising_store_errors(creating=True):
            try:
                blob.get_blob_properties(
                    raw_response_hook=lambda response: dates.append(response.http_response.headers.get("Date", ""))
                )
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise
        return _time_of(dates[-1])

    def _blob(self, key: str) -> BlobClient:
        return self._container.get_blob_client(self._prefix + checked_key(key))

    def _upload(self, key: str, blob: BlobClient, content_type: str) -> AzureUpload:
        return AzureUpload(blob, secrets.token_hex(6), content_type, lambda: self._find(key, blob), self._block_headers)

    def _create_container(self) -> None:
        """Create the container, once, before the first write; a store that only reads needs no permission for it."""
        with self._mutex:
            if self._container_exists:
                return
            with raising_store_errors(creating=True):
                try:
                    self._container.create_container()
                except ResourceExistsError:
                    pass
                except HttpResponseError as error:
                    # The container may exist; if it does not, the write fails with the reason.
                    if error.status_code not in (401, 403):
                        raise
            self._container_exists = True

    def _find(self, key: str, blob: BlobClient) -> tuple[ObjectInfo, str] | None:
        with raising_store_errors():
            try:
                return _info(key, blob.get_blob_properties())
            except ResourceNotFoundError:
                return None

    def _require_current(self, key: str, blob: BlobClient, etag: str | None) -> ObjectInfo:
        found = self._find(key, blob)
        if found is None:
            raise ObjectMissing("The object does not exist.")
        if etag is not None and found[0].etag != etag:
            raise ObjectChanged("The object has changed.")
        return found[0]

    def _put(
        self, key: str, blob: BlobClient, data: bytes, content_type: str, metadata: Mapping[str, str], etag: str | None
    ) -> ObjectInfo:
        """Write a new blob if ``etag`` is None, else replace that version."""
        nonce = secrets.token_hex(6)
        try:
            with raising_store_errors(creating=etag is None):
                response = blob.upload_blob(
                    data,
                    length=len(data),
                    overwrite=etag is not None,
                    content_settings=ContentSettings(content_type=content_type),
                    metadata={**metadata, RESERVED_METADATA: nonce},
                    validate_content=True,
                    read_timeout=BULK_READ_SECONDS,
                    **_if_match(etag),
                )
        except (ObjectExists, ObjectChanged):
            found = self._find(key, blob)
            if found is not None and found[1] == nonce:
                return found[0]
            if found is None and etag is not None:
                raise ObjectMissing("The object does not exist.") from None
            raise
        etag = _unquoted(response["etag"])
        return ObjectInfo(key, len(data), etag, response["last_modified"], content_type, dict(metadata))


def _download(blob: BlobClient, start: int, length: int | None, etag: str | None) -> bytes | None:
    """The bytes, or None if the version ends before ``start``."""
    try:
        download = blob.download_blob(
            start, length, decompress=False, read_timeout=BULK_READ_SECONDS, **_if_match(etag)
        )
        data: bytes = download.readall()
    except HttpResponseError as error:
        if error.status_code == 416:
            return None
        raise
    if len(data) != download.size:
        raise StoreError("The object ended before the requested range did.")
    return data


def _info(key: str, properties: BlobProperties) -> tuple[ObjectInfo, str]:
    """The version of an object for a blob, and the nonce of the write that made it."""
    metadata = dict(properties.metadata or {})
    nonce = metadata.pop(RESERVED_METADATA, "")
    content_type = properties.content_settings.content_type or "application/octet-stream"
    etag = _unquoted(properties.etag)
    return ObjectInfo(key, properties.size, etag, properties.last_modified, content_type, metadata), nonce


def _time_of(date: str) -> datetime:
    """The time of a ``Date`` header. Raises StoreUnavailable."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError as error:
        raise StoreUnavailable("The store's response has no valid Date: check what is in front of it.") from error


def _unquoted(etag: str) -> str:
    """The ETag without quotes, which all responses but a listing have."""
    return etag.strip('"')


def _if_match(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
