"""API keys: kept as hashes, whichever way they are configured."""

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
_LONGEST_KEY_BYTES = 512
_PUBLISH = ":publish"
DUMMY = bytes(32)
"""No key is known that hashes to it: what unknown ones are compared with."""


class KnownKeys(Protocol):
    """Where keys are looked up."""

    @property
    def waits(self) -> bool:
        """Whether a look may wait for a file."""

    def find(self, presented: bytes) -> Principal | None:
        """Whose key it is, or None. Takes the same time for every key that is not known."""


class ApiKeys:
    """Keys of the settings: teams by the SHA-256 of their keys, which begins with what logs call the key.

    ``publishers`` are the hashes of keys that may also publish and delete.
    """

    waits = False

    def __init__(self, teams: Mapping[bytes, str], publishers: Set[bytes] = frozenset()) -> None:
        self._publishers = publishers
        self._teams = {digest: (digest, team) for digest, team in teams.items()}

    def __len__(self) -> int:
        return len(self._teams)

    def find(self, presented: bytes) -> Principal | None:
        """Whose key it is, or None. What is compared is a hash, so time tells nothing of a key."""
        if not 0 < len(presented) <= _LONGEST_KEY_BYTES or not presented.isascii():
            return None
        digest = hashlib.sha256(presented).digest()
        stored, team = self._teams.get(digest, (DUMMY, ""))
        if not hmac.compare_digest(stored, digest):
            return None
        return Principal(team, "key", digest.hex()[:8], may_publish=digest in self._publishers)


def parse_api_keys(text: str) -> ApiKeys:
    """Read ``key=team,sha256:HEX=team:publish``; only keys with ``:publish`` may publish and delete.

    Raises ValueError, which names the entry by position and never holds a key.
    """
    teams: dict[bytes, str] = {}
    publishers: set[bytes] = set()
    for position, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        key, equals, owner = entry.rpartition("=")
        team = owner.removesuffix(_PUBLISH)
        if not equals or not key or not is_id(team):
            raise ValueError(
                f"entry {position} is not key=team or sha256:HEX=team, with :publish after the team or not"
            )
        hashed = _HASHED.fullmatch(key)
        if key.startswith("sha256:") and hashed is None:
            raise ValueError(f"entry {position} has a hash that is not 64 lower-case hexadecimal digits")
        # What no header can carry would be a key that never opens anything.
        if not _PLAIN.fullmatch(key):
            raise ValueError(f"entry {position} has a key with spaces, beyond ASCII or over {_LONGEST_KEY_BYTES} bytes")
        digest = bytes.fromhex(hashed.group(1)) if hashed else hashlib.sha256(key.encode()).digest()
        if teams.setdefault(digest, team) != team:
            raise ValueError(f"entry {position} has a key that another team has as well")
        if team != owner:
            publishers.add(digest)
    if not teams:
        raise ValueError("there is no key")
    return ApiKeys(teams, publishers)


def new_key() -> tuple[str, str]:
    """A new key of 256 random bits, which has an id in it, and its SHA-256 in hexadecimal digits."""
    key = f"tr_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    return key, hashlib.sha256(key.encode()).hexdigest()
