"""API keys, stored as hashes wherever they are configured."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Set
from typing import Protocol

from engine.common.ids import is_id
from web.auth.principal import Principal

_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_PLAIN = re.compile(r"[!-~]{1,512}")
_MAX_KEY_BYTES = 512
_PUBLISH = ":publish"
DUMMY = bytes(32)
"""Compared with the hash of an unknown key; no key hashes to it."""


class KnownKeys(Protocol):
    """A source of API keys."""

    @property
    def waits(self) -> bool:
        """Whether `find` may wait for a file."""

    @property
    def teams(self) -> list[str]:
        """The team of each key that is accepted now."""

    def find(self, presented: bytes) -> Principal | None:
        """Return the owner of a key, or None. Takes the same time for every unknown key."""


class ApiKeys:
    """Keys from the settings: teams by the SHA-256 of their keys, whose first 8 digits identify a key in logs.

    ``publishers`` are the hashes of keys that may also publish and delete.
    """

    waits = False

    def __init__(self, teams: Mapping[bytes, str], publishers: Set[bytes] = frozenset()) -> None:
        self._publishers = publishers
        self._teams = {digest: (digest, team) for digest, team in teams.items()}

    @property
    def teams(self) -> list[str]:
        """The team of each key."""
        return [team for _, team in self._teams.values()]

    def find(self, presented: bytes) -> Principal | None:
        """Return the owner of a key, or None. Compares hashes, so that the time reveals nothing about a key."""
        if not 0 < len(presented) <= _MAX_KEY_BYTES or not presented.isascii():
            return None
        digest = hashlib.sha256(presented).digest()
        stored, team = self._teams.get(digest, (DUMMY, ""))
        if not hmac.compare_digest(stored, digest):
            return None
        return Principal(team, "key", digest.hex()[:8], may_publish=digest in self._publishers)


def parse_api_keys(text: str) -> ApiKeys:
    """Read ``key=team,sha256:HEX=team:publish``; only keys with ``:publish`` may publish and delete.

    Raises ValueError, which names the entry by its position and never contains a key.
    """
    teams: dict[bytes, str] = {}
    publishers: set[bytes] = set()
    for position, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        key, equals, owner = entry.rpartition("=")
        team = owner.removesuffix(_PUBLISH)
        if not equals or not key or not is_id(team):
            raise ValueError(f"entry {position} is not key=team or sha256:HEX=team, optionally followed by :publish")
        hashed = _HASHED.fullmatch(key)
        if key.startswith("sha256:") and hashed is None:
            raise ValueError(f"the hash of entry {position} is not 64 lower-case hexadecimal digits")
        # Such a key could not be sent in a header.
        if not _PLAIN.fullmatch(key):
            raise ValueError(
                f"the key of entry {position} exceeds {_MAX_KEY_BYTES} bytes, or is not printable ASCII without spaces"
            )
        digest = bytes.fromhex(hashed.group(1)) if hashed else hashlib.sha256(key.encode()).digest()
        if teams.setdefault(digest, team) != team:
            raise ValueError(f"entry {position} repeats a key of another team")
        if team != owner:
            publishers.add(digest)
    if not teams:
        raise ValueError("it contains no key")
    return ApiKeys(teams, publishers)


def new_key() -> tuple[str, str]:
    """Return a new key (``tr_``, an id, and 256 random bits) and its SHA-256 in hexadecimal digits."""
    key = f"tr_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    return key, hashlib.sha256(key.encode()).hexdigest()
