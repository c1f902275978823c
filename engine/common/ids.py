"""The grammar of ids, and the id of an export.

Source of the grammar: web/API.md, section 1. No id needs percent-encoding, in a URL or in a storage key.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping

from engine.errors import InvalidInput

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

EXPORT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether the text can be a workflow, run or team id."""
    return ID.fullmatch(text) is not None


def checked_id(kind: str, text: str) -> str:
    """The id. Raises InvalidInput, naming the ``kind`` of id, if the text is not one."""
    if not is_id(text):
        raise InvalidInput(
            f"The {kind} {text[:140]!r} is not an id: use 1 to 128 characters of A-Z a-z 0-9 _ . - "
            "and begin with a letter or digit."
        )
    return text


def export_id(request: Mapping[str, object]) -> str:
    """The export id of a canonical request: a UUID of version 8 (RFC 9562), the same on every replica.

    ``request`` must contain everything that the bytes depend on, including the run's version and the version of the
    engine's output.
    """
    text = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def is_export_id(text: str) -> bool:
    """Whether the text has the form of an `export_id`."""
    return EXPORT_ID.fullmatch(text) is not None
