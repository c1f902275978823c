"""Where a URL is signed, and where a signed one is read back.

``{base}/v4/workflows/{workflowId}/data/exports/{exportId}?format=csv&expires=1764000000&kid=k1&sig=...``

A signature binds method, audience (the public base URL), workflow, export, format, expiry and key id. Everything is
matched raw, as it came over the wire: nothing in a URL of ours needs percent-encoding, so none is accepted.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from urllib.parse import urlsplit

from web.auth.errors import Denied

SCHEME = "tailrace-export-url-v1"
CLOCK_SKEW = timedelta(seconds=60)
SHORTEST_SECRET_BYTES = 32

_PATH = (
    rb"/v4/workflows/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})/data/exports/"
    rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
_VALUES = {
    b"format": re.compile(rb"[a-z]{1,16}"),
    b"expires": re.compile(rb"[1-9][0-9]{9}"),
    b"kid": re.compile(rb"[a-z0-9][a-z0-9-]{0,15}"),
    b"sig": re.compile(rb"[A-Za-z0-9_-]{43}"),
}
PARAMETERS = frozenset(name.decode() for name in _VALUES)
_KID = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")


class BadSignature(Denied):
    """The URL is not one that we signed; one text for all that can be wrong with it."""

    def __init__(self) -> None:
        super().__init__("This download link is not valid. Ask for the export again to get a new one.")


class ExpiredUrl(Denied):
    """The URL is ours and its time is over; told only when the signature is right."""

    code: ClassVar[str] = "url_expired"

    def __init__(self) -> None:
        super().__init__("This download link has expired. Ask for the export again to get a new one.")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret and the id that URLs name it by."""

    kid: str
    secret: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid URL allows: one file, until it expires."""

    workflow_id: str
    export_id: str
    format: str
    expires: datetime
    kid: str


def parse_signing_keys(text: str) -> tuple[SigningKey, ...]:
    """Read ``kid=secret,kid=secret``: the first signs, all verify. Raises ValueError, which never holds a secret."""
    keys: list[SigningKey] = []
    # Entries are named by position alone: a comma within a secret makes a key id of a piece of it.
    for position, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        kid, equals, secret = entry.partition("=")
        if not equals or not _KID.fullmatch(kid):
            raise ValueError(f"entry {position} is not kid=secret with a kid of 1 to 16 of a-z 0-9 -")
        if len(secret.encode()) < SHORTEST_SECRET_BYTES:
            raise ValueError(f"the secret of entry {position} is shorter than {SHORTEST_SECRET_BYTES} bytes")
        if kid in {key.kid for key in keys}:
            raise ValueError(f"the key id of entry {position} stands before it already")
        keys.append(SigningKey(kid, secret.encode()))
    if not keys:
        raise ValueError("there is no key")
    return tuple(keys)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class UrlSigner:
    """Signs download URLs with the first key and verifies those of all.

    A URL is accepted with the path of ``base_url`` before it or without, since a proxy may strip it. Raises ValueError
    without a key.
    """

    def __init__(
        self,
        keys: Sequence[SigningKey],
        *,
        base_url: str,
        longest_ttl: timedelta,
        formats: Collection[str],
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if not keys:
            raise ValueError("there is no key")
        self._signing = keys[0]
        self._keys = {key.kid: key for key in keys}
        # Nobody can sign with it, not even we after a restart.
        self._dummy = SigningKey("dummy", secrets.token_bytes(SHORTEST_SECRET_BYTES))
        self.base = base_url.rstrip("/")
        self._path = re.compile(b"(?:%b)?%b" % (re.escape(urlsplit(self.base).path.encode()), _PATH))
        self._longest = longest_ttl + CLOCK_SKEW
        self._formats = frozenset(formats)
        self._clock = clock

    def sign(self, workflow_id: str, export_id: str, format_name: str, expires: datetime) -> str:
        """The URL of an export's file, good until ``expires``, whose fraction of a second is cut off.

        Raises ValueError for what could never be verified, and for a time without a zone.
        """
        if expires.tzinfo is None:
            raise ValueError("the expiry has no time zone")
        seconds = str(int(expires.timestamp()))
        signature = self._signature(self._signing, workflow_id, export_id, format_name, seconds, self._signing.kid)
        path = f"/v4/workflows/{workflow_id}/data/exports/{export_id}"
        query = f"format={format_name}&expires={seconds}&kid={self._signing.kid}&sig={signature}"
        try:
            self._read(path.encode(), query.encode())
        except BadSignature as error:
            raise ValueError("an id, the format or the expiry is outside the grammar of URLs") from error
        return f"{self.base}{path}?{query}"

    def verify(self, raw_path: bytes, raw_query: bytes) -> Grant:
        """What a URL allows. Raises BadSignature, or ExpiredUrl if only the time is over."""
        workflow_id, export_id, format_name, expires, kid, given = self._read(raw_path, raw_query)
        # An unknown key id costs the same time as a known one.
        key = self._keys.get(kid, self._dummy)
        wanted = self._signature(key, workflow_id, export_id, format_name, expires, kid)
        # The encoded texts are compared: decoding first would let the last character vary.
        if not hmac.compare_digest(wanted.encode(), given.encode()):
            raise BadSignature
        end, now = datetime.fromtimestamp(int(expires), UTC), self._clock()
        if now >= end:
            raise ExpiredUrl
        if end - now > self._longest:
            raise BadSignature
        return Grant(workflow_id, export_id, format_name, end, kid)

    def _read(self, raw_path: bytes, raw_query: bytes) -> tuple[str, str, str, str, str, str]:
        """Workflow, export, format, expiry, key id and signature of a well-shaped URL. Raises BadSignature."""
        found = self._path.fullmatch(raw_path)
        values = _match_query(raw_query)
        if found is None or values["format"] not in self._formats:
            raise BadSignature
        workflow_id, export_id = found.group(1).decode(), found.group(2).decode()
        return workflow_id, export_id, values["format"], values["expires"], values["kid"], values["sig"]

    def _signature(self, key: SigningKey, *fields: str) -> str:
        # Lengths before the values, so that no boundary between two fields can shift.
        signed = "\n".join(f"{len(field)}:{field}" for field in (SCHEME, "GET", self.base, *fields))
        derived = hmac.digest(key.secret, f"{SCHEME} {key.kid}".encode(), hashlib.sha256)
        digest = hmac.digest(derived, signed.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _match_query(raw_query: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in raw_query.split(b"&"):
        name, _, value = pair.partition(b"=")
        pattern = _VALUES.get(name)
        if pattern is None or not pattern.fullmatch(value) or name.decode() in values:
            raise BadSignature
        values[name.decode()] = value.decode()
    if values.keys() != PARAMETERS:
        raise BadSignature
    return values
