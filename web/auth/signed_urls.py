"""Signs download URLs and verifies them.

``{base}/v4/workflows/{workflowId}/data/exports/{exportId}/{fileName}?format=csv&expires=1764000000&kid=k1&sig=...``

A signature covers the method, the public base URL, workflow, export, format, expiry, key id, and ``sp=r`` where the URL
has it: readers of Delta tables take a URL for a signed one only if it has a parameter that those of a cloud have, such
as Azure's ``sp``. The file name is for tools that look at the end of a path: it is not signed, and may be missing.
Paths and queries are matched as they were sent: signed URLs never need percent-encoding, so none is accepted before the
file name.
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

from engine.stores.clock import MAX_SKEW
from web.auth.errors import Unauthenticated

SCHEME = "tailrace-export-url-v1"
MIN_SECRET_BYTES = 32

_PATH = (
    rb"/v4/workflows/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})/data/exports/"
    rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    # Any name with one or two extensions.
    rb"(?:/[^/]{1,512}\.[a-z]{1,16})?"
)
_VALUES = {
    b"format": re.compile(rb"[a-z]{1,16}"),
    b"expires": re.compile(rb"[1-9][0-9]{9}"),
    b"kid": re.compile(rb"[a-z0-9][a-z0-9-]{0,15}"),
    b"sig": re.compile(rb"[A-Za-z0-9_-]{43}"),
    b"sp": re.compile(rb"r"),
}
_OPTIONAL = {"sp"}
PARAMETERS = frozenset(name.decode() for name in _VALUES) - _OPTIONAL
_KID = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")


class BadSignature(Unauthenticated):
    """The URL was not signed by this service; one message for all reasons."""

    def __init__(self) -> None:
        super().__init__("This download link is not valid. Request the export again to get a new one.")


class ExpiredUrl(Unauthenticated):
    """The URL has expired; raised only if its signature is valid."""

    code: ClassVar[str] = "url_expired"

    def __init__(self) -> None:
        super().__init__("This download link has expired. Request the export again to get a new one.")


class FutureUrl(Unauthenticated):
    """The URL is valid for longer than any may be: a server's clock is wrong. Raised only if its signature is valid."""

    code: ClassVar[str] = "clock_skew"

    def __init__(self) -> None:
        super().__init__(
            "This download link expires later than any link may: the clock of the server that signed it, or of this "
            "one, is wrong. Try again in a minute; if that does not help, request the export again to get a new link."
        )


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret, and its id in URLs."""

    kid: str
    secret: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid URL gives access to: one file, until it expires."""

    workflow_id: str
    export_id: str
    format: str
    expires: datetime
    kid: str


def parse_signing_keys(text: str) -> tuple[SigningKey, ...]:
    """Read ``kid=secret,kid=secret``; the first signs, all verify. Raises ValueError, which never contains a secret."""
    keys: list[SigningKey] = []
    # Errors name an entry by its position alone: after a comma within a secret, the "key id" is part of the secret.
    for position, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if not entry:
            continue
        kid, equals, secret = entry.partition("=")
        if not equals or not _KID.fullmatch(kid):
            raise ValueError(f"entry {position} is not kid=secret, with a kid of 1 to 16 characters of a-z, 0-9 and -")
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret of entry {position} is shorter than {MIN_SECRET_BYTES} bytes")
        if kid in {key.kid for key in keys}:
            raise ValueError(f"entry {position} repeats a key id")
        keys.append(SigningKey(kid, secret.encode()))
    if not keys:
        raise ValueError("it contains no key")
    return tuple(keys)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class UrlSigner:
    """Signs download URLs with the first key, and verifies those signed with any key.

    A URL is accepted with and without the path of ``base_url``, since a proxy may strip it. It may expire ``max_ttl``
    from now, however long this process lets its own URLs live, and `MAX_SKEW` later for the clock of the one that
    signed it. Raises ValueError without a key.
    """

    def __init__(
        self,
        keys: Sequence[SigningKey],
        *,
        base_url: str,
        max_ttl: timedelta,
        formats: Collection[str],
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if not keys:
            raise ValueError("it contains no key")
        self._signing = keys[0]
        self._keys = {key.kid: key for key in keys}
        # Used for unknown key ids; random, so that nothing is ever signed with it.
        self._dummy = SigningKey("dummy", secrets.token_bytes(MIN_SECRET_BYTES))
        self.base = base_url.rstrip("/")
        self._path = re.compile(b"(?:%b)?%b" % (re.escape(urlsplit(self.base).path.encode()), _PATH))
        self._max_remaining = max_ttl + MAX_SKEW
        self._formats = frozenset(formats)
        self._clock = clock

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that verify URLs; the first one signs."""
        return tuple(self._keys)

    def sign(
        self,
        workflow_id: str,
        export_id: str,
        format_name: str,
        expires: datetime,
        file_name: str | None = None,
        *,
        for_delta: bool = False,
    ) -> str:
        """Return a URL of an export's file, valid until ``expires`` (rounded down to seconds).

        Its path ends with ``file_name``, if there is one; ``for_delta`` adds ``sp=r``.

        Raises ValueError for arguments whose URL could not be verified, and for a naive datetime.
        """
        if expires.tzinfo is None:
            raise ValueError("the expiry has no time zone")
        seconds = str(int(expires.timestamp()))
        fields = (workflow_id, export_id, format_name, seconds, self._signing.kid, *(("r",) if for_delta else ()))
        signature = self._signature(self._signing, *fields)
        path = f"/v4/workflows/{workflow_id}/data/exports/{export_id}"
        path += "" if file_name is None else f"/{file_name}"
        query = f"format={format_name}&expires={seconds}&kid={self._signing.kid}&sig={signature}"
        query += "&sp=r" if for_delta else ""
        try:
            self._read(path.encode(), query.encode())
        except BadSignature as error:
            raise ValueError("an id, the format or the expiry cannot be part of a signed URL") from error
        return f"{self.base}{path}?{query}"

    def verify(self, raw_path: bytes, raw_query: bytes) -> Grant:
        """Return what a URL gives access to.

        Raises BadSignature; if the signature is valid, ExpiredUrl or FutureUrl.
        """
        workflow_id, export_id, format_name, expires, kid, signature, *optional = self._read(raw_path, raw_query)
        # An unknown key id costs the same time as a known one.
        key = self._keys.get(kid, self._dummy)
        expected = self._signature(key, workflow_id, export_id, format_name, expires, kid, *optional)
        # Compares the base64 text: several last characters decode to the same bytes.
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise BadSignature
        end, now = datetime.fromtimestamp(int(expires), UTC), self._clock()
        if now >= end:
            raise ExpiredUrl
        if end - now > self._max_remaining:
            raise FutureUrl
        return Grant(workflow_id, export_id, format_name, end, kid)

    def _read(self, raw_path: bytes, raw_query: bytes) -> tuple[str, ...]:
        """Return workflow, export, format, expiry, key id, signature and, if there is one, ``sp`` of a URL.

        Raises BadSignature.
        """
        found = self._path.fullmatch(raw_path)
        values = _match_query(raw_query)
        if found is None or values["format"] not in self._formats:
            raise BadSignature
        workflow_id, export_id = found.group(1).decode(), found.group(2).decode()
        names = ("format", "expires", "kid", "sig", "sp")
        return workflow_id, export_id, *(values[name] for name in names if name in values)

    def _signature(self, key: SigningKey, *fields: str) -> str:
        # Each value is prefixed with its length, so that the boundary between two fields is unambiguous.
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
    if values.keys() - _OPTIONAL != PARAMETERS:
        raise BadSignature
    return values
