"""The grammar of keys and metadata, one for both adapters.

Keys are made by the engine from checked ids, so nothing of a caller should ever be refused here: this is the second
fence, and a ValueError of it is a defect of ours.
"""

import re
from collections.abc import Mapping, Sequence

MAX_BLOCKS = 50_000
"""Blocks of one object: the service's limit; the emulator takes more, so the count is ours to check."""

_MAX_KEY_LENGTH = 1024
_MAX_SEGMENT_LENGTH = 200
_MAX_METADATA_LENGTH = 8 * 1024
_FORBIDDEN = re.compile(r"[^\x20-\x7e]|\\")
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METADATA_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")

RESERVED_METADATA = "attempt"
"""The metadata name an adapter may keep for itself; it is never shown."""


def checked_key(key: str) -> str:
    """The key itself, or ValueError if it could name anything but one object below the store's root."""
    segments = key.split("/")
    if len(key) > _MAX_KEY_LENGTH or _FORBIDDEN.search(key) or not all(map(_is_plain, segments)):
        raise ValueError("not a storage key")
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix itself, or ValueError if no key can begin with it; ``""`` is the prefix of all."""
    *folders, last = prefix.split("/")
    if _FORBIDDEN.search(prefix) or last.startswith(".") or not all(map(_is_plain, folders)):
        raise ValueError("not a prefix of storage keys")
    return prefix


def checked_range(start: int, length: int | None) -> None:
    """ValueError for a negative start or length."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError("a range of bytes begins at 0 and has no negative length")


def checked_ordinal(ordinal: int) -> int:
    """The ordinal itself, or ValueError if an object has no such block."""
    if not 0 <= ordinal < MAX_BLOCKS:
        raise ValueError("not the ordinal of a block")
    return ordinal


def checked_block_count(block_ids: Sequence[str]) -> None:
    """ValueError for more blocks than an object may have."""
    if len(block_ids) > MAX_BLOCKS:
        raise ValueError("more blocks than an object may have")


def checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """A copy, or ValueError if it would not come back from every store as it was given.

    It travels as HTTP headers: names are identifiers and unique without regard to case, values are printable ASCII,
    not empty, without blanks at either end, 8 KiB in all.
    """
    folded = {name.lower() for name in metadata}
    if len(folded) < len(metadata) or RESERVED_METADATA in folded:
        raise ValueError("metadata names collide")
    for name, value in metadata.items():
        if not (_METADATA_NAME.fullmatch(name) and _METADATA_VALUE.fullmatch(value)):
            raise ValueError("metadata is an identifier and printable ASCII text")
    if sum(len(name) + len(value) for name, value in metadata.items()) > _MAX_METADATA_LENGTH:
        raise ValueError("metadata is longer than 8 KiB")
    return dict(metadata)


def _is_plain(segment: str) -> bool:
    return 0 < len(segment) <= _MAX_SEGMENT_LENGTH and not segment.startswith(".")
