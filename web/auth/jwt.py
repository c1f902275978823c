"""Bearer tokens: JWTs of one fixed family of algorithms per source of keys, with a team in them."""

import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import JWSRegistry

from engine.common.ids import is_id
from engine.common.json_depth import loads_within
from web.auth.errors import Denied
from web.auth.principal import Principal

SECRET_ALGORITHMS = ("HS256",)
JWKS_ALGORITHMS = ("RS256", "ES256", "EdDSA", "Ed25519")
SHORTEST_SECRET_BYTES = 32
LONGEST_TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 60
MAX_CLAIM_DEPTH = 16
"""Nesting of a token's header and claims; what issuers write has three or four levels."""
PUBLISH_SCOPE = "publish"
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999: a later time is a mistake (milliseconds, say), and would never be over."""

_REFUSED_HEADERS = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c"})
"""What would change how a token is read, or bring a key along."""


class BadToken(Denied):
    """The token is not one that we accept; one text for all that can be wrong with it."""

    def __init__(self) -> None:
        super().__init__("The bearer token is not accepted.")


class KeySource(Protocol):
    """Where public keys come from."""

    def keys_for(self, kid: str | None) -> KeySet | None:
        """Keys to verify with, among them the one of that id if there is such a key; None if none can be had."""


class _FixedAlgorithms(JWSRegistry):
    """The library's registry without its warning at each use of the name EdDSA, which issuers still write."""

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


class Tokens:
    """Verifies tokens by a shared secret, by public keys, or by either.

    ``clock`` gives seconds since the epoch. Every token needs ``team``, ``sub``, ``exp`` and ``iat``; audience and
    issuer are required once they are configured. One whose ``scope`` has the word ``publish`` may publish and delete.
    Raises ValueError for a secret that is too short or is no secret.
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
        if secret is not None and len(secret.encode()) < SHORTEST_SECRET_BYTES:
            raise ValueError(f"the secret is shorter than {SHORTEST_SECRET_BYTES} bytes")
        self._secret = None if secret is None else OctKey.import_key(secret)
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
        """Whether keys may have to be fetched."""
        return self._jwks is not None

    def principal_of(self, token: str) -> Principal:
        """Whom a token speaks for. Raises BadToken."""
        if len(token) > LONGEST_TOKEN_BYTES or not token.isascii():
            raise BadToken
        try:
            return self._verified(token)
        except Exception as error:  # whatever a stranger's bytes do to a parser, the answer is no
            raise BadToken from error

    def _verified(self, token: str) -> Principal:
        header = _read_unverified(token)
        key, algorithms = self._verifier(header)
        registry = _FixedAlgorithms(algorithms=algorithms)
        claims = jwt.decode(token, key, algorithms=algorithms, registry=registry).claims
        timeless = {name: value for name, value in claims.items() if name not in ("exp", "nbf", "iat")}
        self._claims.validate(timeless)
        self._check_times(claims)
        team = claims["team"]
        if not isinstance(team, str) or not is_id(team):
            raise BadToken
        return Principal(team, "token", claims["sub"], may_publish=_may_publish(claims))

    def _verifier(self, header: dict[str, Any]) -> tuple[OctKey | KeySet, tuple[str, ...]]:
        """The key and the one family of algorithms that the header's ``alg`` belongs to; never both families."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm in SECRET_ALGORITHMS and self._secret is not None:
            return self._secret, SECRET_ALGORITHMS
        if algorithm in JWKS_ALGORITHMS and self._jwks is not None and (kid is None or isinstance(kid, str)):
            keys = self._jwks.keys_for(kid)
            if keys is not None:
                return keys, JWKS_ALGORITHMS
        raise BadToken

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock()
        for name in ("exp", "nbf", "iat"):
            # A true would be a 1, and every comparison with NaN is false: only an integer is a time.
            if name in claims and (type(claims[name]) is not int or not 0 <= claims[name] <= _LAST_SECOND):
                raise BadToken
        # Only a beginning may be early: what is over is over.
        if claims["exp"] <= now or max(claims["iat"], claims.get("nbf", 0)) > now + LEEWAY_SECONDS:
            raise BadToken


def _may_publish(claims: dict[str, Any]) -> bool:
    """Whether ``scope`` (RFC 8693, section 4.2: words with blanks between them) has the word ``publish``."""
    scope = claims.get("scope")
    return isinstance(scope, str) and PUBLISH_SCOPE in scope.split(" ")


def _read_unverified(token: str) -> dict[str, Any]:
    """The header of a compact JWS: it only chooses which fixed family of algorithms is tried.

    The payload is checked for its nesting, since the library reads it with Python's own limit.
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
