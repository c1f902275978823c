"""Bearer tokens: JWTs of one fixed family of algorithms per source of keys, with a team in them."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import JWSRegistry

from engine.ids import is_id
from web.denied import Denied

SECRET_ALGORITHMS = ("HS256",)
JWKS_ALGORITHMS = ("RS256", "ES256", "EdDSA", "Ed25519")
SHORTEST_SECRET_BYTES = 32
LONGEST_TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 60


class BadToken(Denied):
    """The token is not one that we accept; one text for all that can be wrong with it."""

    def __init__(self) -> None:
        super().__init__("The bearer token is not accepted.")


class KeySource(Protocol):
    """Where public keys come from."""

    def keys_for(self, kid: str | None) -> KeySet | None:
        """Keys to verify with, among them the one of that id if there is such a key; None if none can be had."""


class Tokens:
    """Verifies tokens by a shared secret, by public keys, or by either.

    ``clock`` gives seconds since the epoch. Audience and issuer are required of a token once they are configured.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        jwks: KeySource | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        if secret is not None and len(secret.encode()) < SHORTEST_SECRET_BYTES:
            raise ValueError(f"the secret is shorter than {SHORTEST_SECRET_BYTES} bytes")
        self._secret = None if secret is None else OctKey.import_key(secret)
        self._jwks = jwks
        options: dict[str, Any] = {"exp": {"essential": True}, "team": {"essential": True}, "sub": {}}
        if audience is not None:
            options["aud"] = {"essential": True, "value": audience}
        if issuer is not None:
            options["iss"] = {"essential": True, "value": issuer}
        self._claims = jwt.JWTClaimsRegistry(now=clock, leeway=0, **options)
        # Only a beginning may be early: what is over is over.
        self._skewed = jwt.JWTClaimsRegistry(now=clock, leeway=LEEWAY_SECONDS)

    def team_of(self, token: str) -> str:
        """The team that a token speaks for. Raises BadToken."""
        if len(token) > LONGEST_TOKEN_BYTES or not token.isascii():
            raise BadToken
        try:
            return self._verified_team(token)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise BadToken from error

    def _verified_team(self, token: str) -> str:
        header = _header(token)
        if "crit" in header:
            raise BadToken
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm in SECRET_ALGORITHMS and self._secret is not None:
            decoded = jwt.decode(token, self._secret, algorithms=[*SECRET_ALGORITHMS])
        elif algorithm in JWKS_ALGORITHMS and self._jwks is not None:
            keys = self._jwks.keys_for(kid if isinstance(kid, str) else None)
            if keys is None:
                raise BadToken
            registry = JWSRegistry(algorithms=[*JWKS_ALGORITHMS])
            decoded = jwt.decode(token, keys, algorithms=[*JWKS_ALGORITHMS], registry=registry)
        else:
            raise BadToken
        claims = dict(decoded.claims)
        early: dict[str, Any] = {name: claims.pop(name) for name in ("nbf", "iat") if name in claims}
        self._claims.validate(claims)
        self._skewed.validate(early)
        team = claims["team"]
        if not isinstance(team, str) or not is_id(team):
            raise BadToken
        return team


def _header(token: str) -> dict[str, Any]:
    """The header of a compact JWS, unverified: it only chooses which fixed family of algorithms is tried."""
    parts = token.split(".")
    if len(parts) != 3:
        raise BadToken
    header = json.loads(urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    if not isinstance(header, dict):
        raise BadToken
    return header
