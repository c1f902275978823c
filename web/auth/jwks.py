"""Public keys fetched from the issuer's JWKS address, cached, and refetched when they rotate."""

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
FLOOR_SECONDS = 30
SMALLEST_RSA_BITS = 2048
MAX_DEPTH = 16
"""Nesting of a key set, whose own members have three levels."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HEADERS = {"accept": "application/json", "connection": "close", "user-agent": "tailrace"}
_LOG = logging.getLogger("tailrace")

_KINDS: dict[tuple[object, object], tuple[str, ...]] = {
    ("RSA", None): ("RS256",),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
"""Key type and curve of the keys that are of use, and the algorithms that such a key may name."""

_PUBLIC = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")


class JwksClient:
    """Keys of one address, fetched when first needed; safe to use from many threads, one of which fetches.

    Keys older than five minutes are fetched anew, an unknown key id asks again at most every 30 seconds, and while
    the issuer is away its last keys hold for an hour. ``clock`` counts seconds. ``timeout_seconds`` is the limit of an
    answer as a whole, and before it of each address that is connected to. Raises ValueError for an address that is
    neither https nor loopback.
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
            raise ValueError("the JWKS address begins with https:// (or is http:// on loopback)")
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        # Without a port the library would look for one within an IPv6 address.
        self._host, self._port = parts.hostname, parts.port or self._connection.default_port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._held: tuple[KeySet, float] | None = None
        self._tried = float("-inf")

    def keys_for(self, kid: str | None) -> KeySet | None:
        """The issuer's keys, or None if none could be had within the last hour."""
        if self._wants_fetch(kid):
            # Whoever can do with the keys at hand does not wait for the thread that fetches.
            patience = 0 if self._knows(kid) else self._timeout_seconds
            if self._lock.acquire(timeout=patience):
                try:
                    # Whoever waited here finds the work done.
                    if self._wants_fetch(kid):
                        self._fetch()
                finally:
                    self._lock.release()
        return self._usable()

    def _usable(self) -> KeySet | None:
        held = self._held
        return None if held is None or self._clock() - held[1] > STALE_SECONDS else held[0]

    def _knows(self, kid: str | None) -> bool:
        keys = self._usable()
        return keys is not None and (kid is None or any(key.kid == kid for key in keys.keys))

    def _wants_fetch(self, kid: str | None) -> bool:
        now, held = self._clock(), self._held
        if now - self._tried < FLOOR_SECONDS:
            return False
        return held is None or now - held[1] >= REFRESH_SECONDS or not self._knows(kid)

    def _fetch(self) -> None:
        started = self._clock()
        try:
            self._held = self._parse(self._download()), started
        except (OSError, HTTPException, ValueError) as error:
            _LOG.warning("the JWKS address gave no keys: %s", type(error).__name__)
        finally:
            # Only now, so that whoever comes in the meantime waits for these keys.
            self._tried = started

    def _download(self) -> bytes:
        # A bare connection knows no proxies of the environment and no redirects: the address is the configured one.
        with closing(self._connection(self._host, self._port, timeout=self._timeout_seconds)) as connection:
            connection.connect()
            # The socket's own limit is for each piece, be it of a header: an answer could trickle in for ever.
            late = Timer(self._timeout_seconds, _hang_up, (connection.sock,))
            late.daemon = True
            deadline = time.monotonic() + self._timeout_seconds
            late.start()
            try:
                content = self._read(connection)
            finally:
                late.cancel()
        # What was read until then may look whole.
        if time.monotonic() >= deadline:
            raise TimeoutError
        return content

    def _read(self, connection: HTTPConnection) -> bytes:
        connection.request("GET", self._target, headers=_HEADERS)
        with connection.getresponse() as answer:
            if answer.status != HTTPStatus.OK:
                raise ValueError("the answer is no success")
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
    """Make every read of another thread come to its end."""
    with suppress(OSError):
        # Of the plain socket: a TLS socket would first forget its cipher, and hand ciphertext to the reader.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _read_key(entry: object) -> Key | None:
    """A public key to verify with; None for what is of another kind or use, weak, private or malformed."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    # A shared secret (kty oct) has no place among public keys, and so is not among the kinds.
    kty, curve = entry.get("kty"), entry.get("crv")
    if not isinstance(kty, str) or not isinstance(curve, str | None):
        return None
    algorithms = _KINDS.get((kty, curve))
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
        if kty == "RSA" and _bits(public["n"]) < SMALLEST_RSA_BITS:
            return None
        return JWKRegistry.import_key(public)
    except (JoseError, ValueError, KeyError, UnsupportedAlgorithm):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()
