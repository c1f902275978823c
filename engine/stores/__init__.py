"""Object stores: one port, a directory and Azure Blob as its adapters."""

import re
from pathlib import Path

from engine.errors import InvalidInput
from engine.stores.local.store import DirectoryStore
from engine.stores.port import ObjectInfo, ObjectStore, Upload

__all__ = ["DirectoryStore", "ObjectInfo", "ObjectStore", "Upload", "absolute_location", "open_store"]


def absolute_location(location: str) -> str:
    """A location that means the same in every process: a directory by its whole path."""
    return location if "://" in location else str(Path(location).absolute())


def open_store(
    location: str, *, connection_string: str | None = None, account_url: str | None = None, create: bool = True
) -> ObjectStore:
    """The store at a directory path or ``az://container/prefix``; nothing is reached or made yet.

    With ``create``, the first write makes the directory or container if it is missing; without, it fails.
    Raises InvalidInput for other schemes, and for Azure without exactly one of the two ways in.
    """
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", location)
    if not location or "\0" in location or (scheme and scheme[0] != "az://"):
        raise InvalidInput(
            "That is no place for objects.", remedy="Give a directory, or az://container/prefix for Azure Blob."
        )
    if not scheme:
        return DirectoryStore(Path(location).absolute(), create=create)
    # Here, because the SDK costs a third of a second that an embedded start need not spend.
    from engine.stores.azure.store import azure_store

    container, _, prefix = location.removeprefix("az://").partition("/")
    return azure_store(
        container,
        prefix.rstrip("/"),
        connection_string=connection_string,
        account_url=account_url,
        create=create,
    )
