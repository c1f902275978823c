"""Public keys fetched from the issuer's JWKS address, cached, and refetched when they rotate."""

import json
import time
from collections.abc import Callable
from threading import Lock
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

REFRESH_SECONDS = 300
STALE_SECONDS = 3600
FLOOR_SECONDS = 30
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_KEY_TYPES = ("RSA", "EC", "OKP")


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class JwksClient:
    """Keys of one address, fetched when first needed; safe to use from many threads, one of which fetches.

    Keys older than five minutes are fetched anew, an unknown key id asks again at most every 30 seconds, and while
    the issuer is away its last keys hold for an hour. ``clock`` counts seconds. Raises ValueError for an address that
    is neither https nor loopback.
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
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("the JWKS address begins with https:// (or is http:// on loopback)")
        self._url = url
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        # No proxies of the environment and no redirects: the address is the one that was configured.
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(), _NoRedirect())
        self._lock = Lock()
        self._keys: KeySet | None = None
        self._fetched = float("-inf")
        self._tried = float("-inf")

    def keys_for(self, kid: str | None) -> KeySet | None:
        """The issuer's keys, or None if none could be had within the last hour."""
        if self._wants_fetch(kid):
            with self._lock:
                # Whoever waited here finds the work done.
                if self._wants_fetch(kid):
                    self._fetch()
        return self._keys if self._clock() - self._fetched <= STALE_SECONDS else None

    def _wants_fetch(self, kid: str | None) -> bool:
        now, keys = self._clock(), self._keys
        if now - self._tried < FLOOR_SECONDS:
            return False
        known = keys is not None and (kid is None or any(key.kid == kid for key in keys.keys))
        return not known or now - self._fetched >= REFRESH_SECONDS

    def _fetch(self) -> None:
        self._tried = self._clock()
        try:
            request = Request(self._url, headers={"accept": "application/json"})  # noqa: S310  # checked above
            with self._opener.open(request, timeout=self._timeout_seconds) as answer:
                keys = self._parse(answer)
        except (URLError, OSError, ValueError, JoseError):
            return
        self._keys, self._fetched = keys, self._tried

    def _parse(self, answer: IO[bytes]) -> KeySet:
        content = answer.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise ValueError("the key set is too large")
        document = json.loads(content)
        keys = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(keys, list):
            raise ValueError("not a key set")
        # A shared secret has no place among public keys.
        usable = [key for key in keys if isinstance(key, dict) and key.get("kty") in _KEY_TYPES]
        if not usable:
            raise ValueError("no usable key")
        return KeySet.import_key_set({"keys": usable})
