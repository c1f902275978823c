"""An upload to Azure Blob Storage: uncommitted blocks of one block blob, and one commit."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings

from engine.errors import ObjectExists, StoreError, StoreUnavailable
from engine.stores.azure.checksum import BlockHeaders
from engine.stores.azure.client import BULK_READ_SECONDS, raising_store_errors
from engine.stores.azure.request_body import ChunkedBody
from engine.stores.port import CopySource, ObjectInfo
from engine.stores.validation import RESERVED_METADATA, checked_block_count, checked_metadata, checked_ordinal

_COPY_RETRIES = 1
"""Fewer than usual, since the bytes can be read and sent instead."""


class AzureUpload:
    """Sends blocks to the service, which removes uncommitted ones after 7 days."""

    parallel_blocks = 8
    readable = False
    handle = ""

    def __init__(
        self, blob: BlobClient, nonce: str, content_type: str, head: "Head", block_headers: BlockHeaders
    ) -> None:
        self._blob = blob
        self._nonce = nonce
        self._content_type = content_type
        self._head = head
        self._block_headers = block_headers
        self._lengths: dict[str, int] = {}
        self._open = True
        self._mutex = Lock()

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        """Send one block. Block ids have the same length, which the service requires, and begin with a nonce."""
        block_id = f"{self._nonce}{checked_ordinal(ordinal):05d}"
        self._require_open()
        body: Any = ChunkedBody(data)
        # The service refuses empty blocks; the commit omits them.
        if body:
            # The service compares the checksum and refuses a damaged block. The SDK would compute one only for a body
            # of bytes.
            headers = self._block_headers(data)
            with raising_store_errors(creating=True):
                self._blob.stage_block(
                    block_id, body, length=len(body), headers=headers, read_timeout=BULK_READ_SECONDS
                )
        self._lengths[block_id] = len(body)
        return block_id

    def stage_copy(self, ordinal: int, source: CopySource, *, start: int, length: int, md5: bytes) -> str:
        """Have the service copy one block (Put Block From URL), if the source is that version and has those bytes."""
        block_id = f"{self._nonce}{checked_ordinal(ordinal):05d}"
        self._require_open()
        with raising_store_errors(creating=True):
            self._blob.stage_block_from_url(
                block_id,
                str(source.location),
                source_offset=start,
                source_length=length,
                # Without it, the emulator computes a CRC-64 at 80 MB/s, too.
                source_content_md5=md5,
                headers={"x-ms-source-if-match": f'"{source.etag}"'},
                retry_total=_COPY_RETRIES,
                read_timeout=BULK_READ_SECONDS,
            )
        self._lengths[block_id] = length
        return block_id

    def block(self, block_id: str, length: int) -> memoryview:
        """Raise StoreError: uncommitted blocks cannot be read."""
        del block_id, length
        raise StoreError("A block of the upload cannot be read.")

    def adopt(self, block_id: str, length: int) -> None:
        """Record the length of the block; the commit fails if it does not exist."""
        self._lengths[block_id] = length

    def commit(self, block_ids: Sequence[str], *, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible with one request, and compare its size with that of the blocks."""
        checked_block_count(block_ids)
        metadata = {**checked_metadata(metadata), RESERVED_METADATA: self._nonce}
        with self._mutex:
            self._require_open()
            try:
                with raising_store_errors(creating=True):
                    self._blob.commit_block_list(
                        [BlobBlock(block_id) for block_id in block_ids if self._lengths.get(block_id) != 0],
                        content_settings=ContentSettings(content_type=self._content_type),
                        metadata=metadata,
                        match_condition=MatchConditions.IfMissing,
                        read_timeout=BULK_READ_SECONDS,
                    )
            except StoreUnavailable:
                raise
            except StoreError as error:
                info = self._committed(error)
            else:
                info = self._committed(None)
            self._open = False
        self._require_size(info, block_ids)
        return info

    def abort(self) -> None:
        """End the upload. A blob of its name is not touched: it is not from this upload."""
        self._open = False

    def _require_open(self) -> None:
        if not self._open:
            raise StoreError("The upload has ended already.")

    def _committed(self, error: StoreError | None) -> ObjectInfo:
        """The committed object, even if the SDK repeated the commit and the repetition failed with ``error``."""
        found = self._head()
        if found is not None and found[1] == self._nonce:
            return found[0]
        if found is not None:
            raise ObjectExists("The object exists already.") from error
        raise error or StoreError("The object was removed immediately after the commit.")

    def _require_size(self, info: ObjectInfo, block_ids: Sequence[str]) -> None:
        """Raise StoreError, and remove the object, if its size is wrong: a service may accept a truncated block."""
        if any(block_id not in self._lengths for block_id in block_ids):
            return
        if info.size == sum(self._lengths[block_id] for block_id in block_ids):
            return
        with raising_store_errors():
            self._blob.delete_blob(etag=f'"{info.etag}"', match_condition=MatchConditions.IfNotModified)
        raise StoreError("Size mismatch after upload; the object was removed.")


Head = Callable[[], tuple[ObjectInfo, str] | None]
"""Returns the object and the nonce of the write that made it, or None."""
