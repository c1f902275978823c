"""API keys: kept as hashes, looked up by hash."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from engine.ids import is_id

_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_PLAIN = re.compile(r"[!-~]{1,512}")
_LONGEST_KEY_BYTES = 512
# No key is known that hashes to it.
_DUMMY = bytes(32)


class ApiKeys:
    """Teams by the SHA-256 of their keys."""

    def __init__(self, teams: Mapping[bytes, str]) -> None:
        self._teams = {digest: (digest, team) for digest, team in teams.items()}

    def __len__(self) -> int:
        return len(self._teams)

    def team_of(self, presented: bytes) -> str | None:
        """The team of a key, or None. What is compared is a hash, so time tells nothing of a key."""
        if not 0 < len(presented) <= _LONGEST_KEY_BYTES or not presented.isascii():
            return None
        digest = hashlib.sha256(presented).digest()
        stored, team = self._teams.get(digest, (_DUMMY, None))
        return team if hmac.compare_digest(stored, digest) else None


def parse_api_keys(text: str) -> ApiKeys:
    """Read ``key=team,sha256:HEX=team``. Raises ValueError, which names the entry by position and never holds a key."""
    teams: dict[bytes, str] = {}
    for position, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        key, equals, team = entry.rpartition("=")
        if not equals or not key or not is_id(team):
            raise ValueError(f"entry {position} is not key=team or sha256:HEX=team")
        hashed = _HASHED.fullmatch(key)
        if key.startswith("sha256:") and hashed is None:
            raise ValueError(f"entry {position} has a hash that is not 64 lower-case hexadecimal digits")
        # What no header can carry would be a key that never opens anything.
        if not _PLAIN.fullmatch(key):
            raise ValueError(f"entry {position} has a key with spaces, beyond ASCII or over {_LONGEST_KEY_BYTES} bytes")
        digest = bytes.fromhex(hashed.group(1)) if hashed else hashlib.sha256(key.encode()).digest()
        if teams.setdefault(digest, team) != team:
            raise ValueError(f"entry {position} has a key that another team has as well")
    if not teams:
        raise ValueError("there is no key")
    return ApiKeys(teams)


def new_key() -> tuple[str, str]:
    """A new key of 256 random bits, and the hashed form that settings take."""
    key = f"tr_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    return key, f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
