"""The issuer's public keys, fetched from its JWKS URL, cached, and fetched again when they rotate."""

import logging
import socket
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock, Timer
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from engine.common.json_depth import loads_within

REFRESH_SECONDS = 300
STALE_SECONDS = 3600
MIN_FETCH_INTERVAL_SECONDS = 30
MIN_RSA_BITS = 2048
MAX_DEPTH = 16
"""Maximum nesting of a key set; valid ones have three levels."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HEADERS = {"accept": "application/json", "connection": "close", "user-agent": "tailrace"}
_LOG = logging.getLogger("tailrace")

_ALGORITHMS: dict[tuple[object, object], tuple[str, ...]] = {
    ("RSA", None): ("RS256",),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
"""The supported key types and curves, and the values of ``alg`` that such a key may have."""

_PUBLIC = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")


class JwksClient:
    """The keys at one URL, fetched on first use. Thread-safe; one thread at a time fetches.

    Keys are refreshed after 5 minutes, or earlier for an unknown key id, but at most every 30 seconds. While the issuer
    is unreachable, its last keys stay valid for an hour. ``timeout_seconds`` limits each connection attempt, and then
    the response as a whole. Raises ValueError for a URL that is neither https nor loopback.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float = 3,
        max_bytes: int = 64 * 1024,
    ) -> None:
        parts = urlsplit(url)
        loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or loopback):
            raise ValueError("the JWKS URL must begin with https:// (or with http:// on loopback)")
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        # The library would look for a missing port inside an IPv6 address.
        self._host, self._port = parts.hostname, parts.port or self._connection.default_port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._cached: tuple[KeySet, float] | None = None
        self._tried_at = float("-inf")

    def keys_for(self, kid: str | None) -> KeySet | None:
        """Return the issuer's keys, or None if they could not be fetched within the last hour."""
        if self._needs_fetch(kid):
            # A thread that can work with the cached keys does not wait for the one that fetches.
            wait_seconds = 0 if self._has(kid) else self._timeout_seconds
            if self._lock.acquire(timeout=wait_seconds):
                try:
                    # Another thread may have fetched while this one waited.
                    if self._needs_fetch(kid):
                        self._fetch()
                finally:
                    self._lock.release()
        return self._valid_keys()

    def _valid_keys(self) -> KeySet | None:
        cached = self._cached
        return None if cached is None or self._clock() - cached[1] > STALE_SECONDS else cached[0]

    def _has(self, kid: str | None) -> bool:
        keys = self._valid_keys()
        return keys is not None and (kid is None or any(key.kid == kid for key in keys.keys))

    def _needs_fetch(self, kid: str | None) -> bool:
        now, cached = self._clock(), self._cached
        if now - self._tried_at < MIN_FETCH_INTERVAL_SECONDS:
            return False
        return cached is None or now - cached[1] >= REFRESH_SECONDS or not self._has(kid)

    def _fetch(self) -> None:
        started = self._clock()
        try:
            self._cached = self._parse(self._download()), started
        except (OSError, HTTPException, ValueError) as error:
            _LOG.warning("cannot fetch keys from the JWKS URL: %s", type(error).__name__)
        finally:
            # Set after the fetch, so that threads which arrive during it wait for its keys.
            self._tried_at = started

    def _download(self) -> bytes:
        # http.client ignores proxy variables and redirects: only the configured host is contacted.
        with closing(self._connection(self._host, self._port, timeout=self._timeout_seconds)) as connection:
            connection.connect()
            # The socket's own timeout is per read, so a slow response could go on forever.
            timer = Timer(self._timeout_seconds, _hang_up, (connection.sock,))
            timer.daemon = True
            deadline = time.monotonic() + self._timeout_seconds
            timer.start()
            try:
                content = self._read(connection)
            finally:
                timer.cancel()
        # A response that was cut off by the timer may look complete.
        if time.monotonic() >= deadline:
            raise TimeoutError
        return content

    def _read(self, connection: HTTPConnection) -> bytes:
        connection.request("GET", self._target, headers=_HEADERS)
        with connection.getresponse() as answer:
            if answer.status != HTTPStatus.OK:
                raise ValueError("the response status is not 200")
            content = answer.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise ValueError("the key set is too large")
        return content

    def _parse(self, content: bytes) -> KeySet:
        document = loads_within(content, MAX_DEPTH)
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ValueError("not a key set")
        keys = [key for entry in entries if (key := _read_key(entry)) is not None]
        if not keys:
            raise ValueError("no usable key")
        return KeySet(keys)


def _hang_up(connected: socket.socket) -> None:
    """End the reads of another thread."""
    with suppress(OSError):
        # Bypasses SSLSocket.shutdown, which drops the cipher first and would hand ciphertext to the reader.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _read_key(entry: object) -> Key | None:
    """Return a key for verification; None if it is private, weak, malformed, or of another type or use."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    # Shared secrets (kty oct) are not public keys, so they are not in the table.
    kty, curve = entry.get("kty"), entry.get("crv")
    if not isinstance(kty, str) or not isinstance(curve, str | None):
        return None
    algorithms = _ALGORITHMS.get((kty, curve))
    operations = entry.get("key_ops", ["verify"])
    if algorithms is None or not isinstance(operations, list) or "verify" not in operations:
        return None
    public = {name: entry[name] for name in _PUBLIC if name in entry}
    if (
        not all(isinstance(value, str) for value in public.values())
        or public.get("alg", algorithms[0]) not in algorithms
    ):
        return None
    try:
        if kty == "RSA" and _bits(public["n"]) < MIN_RSA_BITS:
            return None
        return JWKRegistry.import_key(public)
    except (JoseError, ValueError, KeyError, UnsupportedAlgorithm):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()
