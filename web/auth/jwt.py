"""Bearer tokens: JWTs with a ``team`` claim, signed with a fixed family of algorithms for each source of keys."""

import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import BadSignatureError, UnsupportedAlgorithmError
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import JWSRegistry

from engine.common.ids import is_id
from engine.common.json_depth import loads_within
from web.auth.errors import Unauthenticated
from web.auth.principal import Principal

SECRET_ALGORITHMS = ("HS256",)
JWKS_ALGORITHMS = ("RS256", "ES256", "EdDSA", "Ed25519")
MIN_SECRET_BYTES = 32
MAX_TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 60
MAX_CLAIM_DEPTH = 16
"""Maximum nesting of a token's header and claims; issuers write three or four levels."""
PUBLISH_SCOPE = "publish"
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999. A later time is a mistake, such as milliseconds, and would never expire."""

_REFUSED_HEADERS = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c"})
"""Headers that would change how the token is verified, or supply a key."""


class BadToken(Unauthenticated):
    """The token is not accepted; one message for all reasons."""

    def __init__(self) -> None:
        super().__init__("The bearer token is not accepted.")


class KeySource(Protocol):
    """A source of public keys."""

    def keys_for(self, kid: str | None) -> KeySet | None:
        """Return keys to verify with, including the one with that id if it exists; None if none are available."""


class _FixedAlgorithms(JWSRegistry):
    """The library's registry without its warning about the name EdDSA, which issuers still use."""

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


class JwtVerifier:
    """Verifies tokens with shared secrets, with public keys, or with either.

    ``secret`` is one secret or several, comma-separated; a token may be signed with any of them.

    ``clock`` returns seconds since the epoch. Every token needs ``team``, ``sub``, ``exp`` and ``iat``; ``aud`` and
    ``iss`` are required if they are configured. A ``scope`` with the word ``publish`` allows publishing and deleting.
    Raises ValueError for a secret that is too short or invalid.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        jwks: KeySource | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = () if secret is None else _parse_secrets(secret)
        self._jwks = jwks
        self._clock = clock
        options: dict[str, Any] = {"team": {"essential": True}, "sub": {"essential": True}}
        if audience is not None:
            options["aud"] = {"essential": True, "value": audience}
        if issuer is not None:
            options["iss"] = {"essential": True, "value": issuer}
        self._claims = jwt.JWTClaimsRegistry(**options)

    @property
    def waits(self) -> bool:
        """Whether `principal_of` may wait for keys to be fetched."""
        return self._jwks is not None

    def principal_of(self, token: str) -> Principal:
        """Return the caller that a token stands for. Raises BadToken."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise BadToken
        try:
            return self._verified(token)
        except Exception as error:  # hostile input may raise anything in a parser
            raise BadToken from error

    def _verified(self, token: str) -> Principal:
        header = _read_unverified(token)
        keys, algorithms = self._verifier(header)
        claims = _decode(token, keys, algorithms)
        timeless = {name: value for name, value in claims.items() if name not in ("exp", "nbf", "iat")}
        self._claims.validate(timeless)
        self._check_times(claims)
        team = claims["team"]
        if not isinstance(team, str) or not is_id(team):
            raise BadToken
        return Principal(team, "token", claims["sub"], may_publish=_may_publish(claims))

    def _verifier(self, header: dict[str, Any]) -> tuple[tuple[OctKey | KeySet, ...], tuple[str, ...]]:
        """Return the keys to try, and the one family of algorithms that the header's ``alg`` belongs to."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm in SECRET_ALGORITHMS and self._secrets:
            return self._secrets, SECRET_ALGORITHMS
        if algorithm in JWKS_ALGORITHMS and self._jwks is not None and (kid is None or isinstance(kid, str)):
            keys = self._jwks.keys_for(kid)
            if keys is not None:
                return (keys,), JWKS_ALGORITHMS
        raise BadToken

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock()
        for name in ("exp", "nbf", "iat"):
            # Only integers: true would count as 1, and every comparison with NaN is false.
            if name in claims and (type(claims[name]) is not int or not 0 <= claims[name] <= _LAST_SECOND):
                raise BadToken
        # The leeway is for iat and nbf only: an expired token is expired.
        if claims["exp"] <= now or max(claims["iat"], claims.get("nbf", 0)) > now + LEEWAY_SECONDS:
            raise BadToken


def _parse_secrets(text: str) -> tuple[OctKey, ...]:
    """Read secrets that are separated by commas. Raises ValueError, which never contains a secret."""
    secrets = [part for part in map(str.strip, text.split(",")) if part] if "," in text else [text]
    for position, secret in enumerate(secrets, start=1):
        if len(secret.encode()) < MIN_SECRET_BYTES:
            which = f"secret {position} of {len(secrets)}, which commas separate," if len(secrets) > 1 else "the secret"
            raise ValueError(f"{which} is shorter than {MIN_SECRET_BYTES} bytes")
    if not secrets:
        raise ValueError("it contains no secret")
    return tuple(map(OctKey.import_key, secrets))


def _decode(token: str, keys: Sequence[OctKey | KeySet], algorithms: tuple[str, ...]) -> dict[str, Any]:
    """Return the claims of a token that was signed with one of the keys. Raises JoseError or ValueError."""
    registry = _FixedAlgorithms(algorithms=algorithms)
    *others, last = keys
    for key in others:
        with suppress(BadSignatureError):
            return jwt.decode(token, key, algorithms=algorithms, registry=registry).claims
    return jwt.decode(token, last, algorithms=algorithms, registry=registry).claims


def _may_publish(claims: dict[str, Any]) -> bool:
    """Whether ``scope`` (RFC 8693, section 4.2: words separated by spaces) contains the word ``publish``."""
    scope = claims.get("scope")
    return isinstance(scope, str) and PUBLISH_SCOPE in scope.split(" ")


def _read_unverified(token: str) -> dict[str, Any]:
    """Return the header of a compact JWS, which only selects the family of algorithms to try.

    The nesting of the payload is checked here, since the library parses it with Python's own limit.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise BadToken
    header = loads_within(_decoded(parts[0]), MAX_CLAIM_DEPTH)
    loads_within(_decoded(parts[1]), MAX_CLAIM_DEPTH)
    if not isinstance(header, dict) or not _REFUSED_HEADERS.isdisjoint(header):
        raise BadToken
    return header


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
