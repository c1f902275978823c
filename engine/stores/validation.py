"""Validation of keys and metadata, the same for both adapters.

The engine makes keys from valid ids, so no caller's input should fail here. This is a second line of defence, and a
ValueError from it is a defect of the engine.
"""

import re
from collections.abc import Mapping, Sequence

MAX_BLOCKS = 50_000
"""The maximum number of blocks of an object: Azure's limit, which the emulator does not enforce."""

_MAX_KEY_LENGTH = 1024
_MAX_SEGMENT_LENGTH = 200
_MAX_METADATA_LENGTH = 8 * 1024
_FORBIDDEN = re.compile(r"[^\x20-\x7e]|\\")
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METADATA_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")

RESERVED_METADATA = "attempt"
"""The metadata name that adapters use internally; `ObjectInfo` does not have it."""


def checked_key(key: str) -> str:
    """The key. Raises ValueError if it could name anything but an object below the store's root."""
    segments = key.split("/")
    if len(key) > _MAX_KEY_LENGTH or _FORBIDDEN.search(key) or not all(map(_is_plain, segments)):
        raise ValueError("not a storage key")
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix. Raises ValueError if no key can begin with it; ``""`` is the prefix of all keys."""
    *folders, last = prefix.split("/")
    if _FORBIDDEN.search(prefix) or last.startswith(".") or not all(map(_is_plain, folders)):
        raise ValueError("not a prefix of storage keys")
    return prefix


def checked_range(start: int, length: int | None) -> None:
    """Raise ValueError for a negative start or length."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError("the start or length of the byte range is negative")


def checked_ordinal(ordinal: int) -> int:
    """The ordinal. Raises ValueError if it is negative or at least `MAX_BLOCKS`."""
    if not 0 <= ordinal < MAX_BLOCKS:
        raise ValueError("the ordinal of a block is out of range")
    return ordinal


def checked_block_count(block_ids: Sequence[str]) -> None:
    """Raise ValueError for more than `MAX_BLOCKS` blocks."""
    if len(block_ids) > MAX_BLOCKS:
        raise ValueError(f"an object has at most {MAX_BLOCKS:,} blocks")


def checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """A copy of the metadata. Raises ValueError if a store could return it changed.

    Metadata travels as HTTP headers: names are identifiers, unique without regard to case; values are printable ASCII,
    not empty, without spaces at either end; all of it is at most 8 KiB.
    """
    folded = {name.lower() for name in metadata}
    if len(folded) < len(metadata) or RESERVED_METADATA in folded:
        raise ValueError("duplicate or reserved metadata name")
    for name, value in metadata.items():
        if not (_METADATA_NAME.fullmatch(name) and _METADATA_VALUE.fullmatch(value)):
            raise ValueError("metadata names must be identifiers, and values printable ASCII text")
    if sum(len(name) + len(value) for name, value in metadata.items()) > _MAX_METADATA_LENGTH:
        raise ValueError("metadata is longer than 8 KiB")
    return dict(metadata)


def _is_plain(segment: str) -> bool:
    return 0 < len(segment) <= _MAX_SEGMENT_LENGTH and not segment.startswith(".")
