"""Stages blocks for an upload to a directory store that another process has begun, each in a separate file.

The other process may be on another machine with the same directory.
"""

import re
import secrets
from pathlib import Path

from engine.common.private_files import open_private
from engine.errors import StoreError
from engine.stores.local.durable_files import raising_store_errors
from engine.stores.validation import checked_ordinal

_BLOCK_ID = re.compile(r"[0-9a-f]{12}[0-9]{5}")


def block_path(folder: Path, block_id: str) -> Path:
    """The path of a staged block. Raises ValueError for an invalid block id."""
    if not _BLOCK_ID.fullmatch(block_id):
        raise ValueError("not a block id")
    return folder / block_id


class DirectoryStaging:
    """Writes blocks into the directory of an upload, whose process adopts them or removes the directory."""

    parallel_blocks = 1
    readable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nonce = secrets.token_hex(6)
        self._require_folder()

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        """Write one block to a separate file."""
        block_id = f"{self._nonce}{checked_ordinal(ordinal):05d}"
        path = block_path(self._folder, block_id)
        with raising_store_errors():
            self._require_folder()
            with open_private(path, "wb") as file:
                file.write(data)
        return block_id

    def _require_folder(self) -> None:
        if not self._folder.is_dir():
            raise StoreError(
                "The upload has ended, or its directory is not visible here: all nodes must share the directory."
            )
