"""Object stores: a port, with a directory and Azure Blob Storage as its adapters."""

import re
from pathlib import Path

from engine.errors import InvalidInput
from engine.settings import AzureChecksum
from engine.stores.local.store import DirectoryStore
from engine.stores.port import ObjectInfo, ObjectStore, Upload

__all__ = ["DirectoryStore", "ObjectInfo", "ObjectStore", "Upload", "absolute_location", "open_store"]


def absolute_location(location: str) -> str:
    """The location with an absolute path, so that it means the same in a process with another working directory."""
    return location if "://" in location else str(Path(location).absolute())


def open_store(
    location: str,
    *,
    connection_string: str | None = None,
    account_url: str | None = None,
    checksum: AzureChecksum = "auto",
    create: bool = True,
) -> ObjectStore:
    """The store at a directory path or ``az://container/prefix``; opening it makes no request.

    With ``create``, the first write creates the directory or container if it is missing; without, it fails. Raises
    InvalidInput for other schemes, and for Azure unless exactly one of connection string and account URL is given.
    ``checksum`` is what Azure checks blocks by.
    """
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", location)
    if not location or "\0" in location or (scheme and scheme[0] != "az://"):
        raise InvalidInput("Unsupported storage location.", remedy="Use a directory or az://container/prefix.")
    if not scheme:
        return DirectoryStore(Path(location).absolute(), create=create)
    # Imported only when needed: the SDK takes a third of a second to load.
    from engine.stores.azure.store import azure_store

    container, _, prefix = location.removeprefix("az://").partition("/")
    return azure_store(
        container,
        prefix.rstrip("/"),
        connection_string=connection_string,
        account_url=account_url,
        checksum=checksum,
        create=create,
    )
