"""Turns the credentials of a request into a team; nothing else does."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from web.auth.api_keys import KnownKeys
from web.auth.errors import Unauthenticated
from web.auth.jwt import BadToken, JwtVerifier
from web.auth.principal import Principal

Headers = Sequence[tuple[bytes, bytes]]
"""Raw ASGI headers: lower-case names; repeated headers are separate entries."""

_SCHEME = b"bearer "


class InvalidCredentials(Unauthenticated):
    """Missing or wrong credentials; one message for all cases."""

    def __init__(self) -> None:
        super().__init__("Send a valid API key as x-api-key, or a valid token as Authorization: Bearer.")


class Authenticator:
    """Reads an API key or a bearer token; if both are sent they must agree."""

    def __init__(self, api_keys: Sequence[KnownKeys], tokens: JwtVerifier | None) -> None:
        self._api_keys = api_keys
        self._tokens = tokens

    def described(self) -> dict[str, object]:
        """How many API keys are accepted, and whether tokens are: what the log says at start."""
        return {"apiKeys": sum(len(keys.teams) for keys in self._api_keys), "tokens": self._tokens is not None}

    def waits(self, headers: Headers, *, bearer_keys: bool = False) -> bool:
        """Whether `authenticate` may wait for a file or a host, so that it must not run in the event loop."""
        by_key = any(keys.waits for keys in self._api_keys)
        by_token = self._tokens is not None and self._tokens.waits
        sources = ((b"x-api-key", by_key), (b"authorization", by_token or (bearer_keys and by_key)))
        return any(waits and _values(headers, name) for name, waits in sources)

    def authenticate(self, headers: Headers, *, bearer_keys: bool = False) -> Principal:
        """Return the caller; with ``bearer_keys``, an API key may be the bearer token. Raises InvalidCredentials."""
        keys, tokens = _values(headers, b"x-api-key"), _values(headers, b"authorization")
        if len(keys) > 1 or len(tokens) > 1 or not (keys or tokens):
            raise InvalidCredentials
        by_bearer = self._by_key_or_token if bearer_keys else self._by_token
        principals = [*map(self._by_key, keys), *map(by_bearer, tokens)]
        if len({principal.team for principal in principals}) != 1:
            raise InvalidCredentials
        # Either of the two is enough to publish, too.
        return replace(principals[0], may_publish=any(principal.may_publish for principal in principals))

    def _by_key(self, presented: bytes) -> Principal:
        # Look in every source, so that the time does not reveal which one has the key.
        found = [principal for keys in self._api_keys if (principal := keys.find(presented)) is not None]
        if not found:
            raise InvalidCredentials
        return found[0]

    def _by_key_or_token(self, presented: bytes) -> Principal:
        if presented[: len(_SCHEME)].lower() == _SCHEME:
            with suppress(InvalidCredentials):
                return self._by_key(presented[len(_SCHEME) :])
        return self._by_token(presented)

    def _by_token(self, presented: bytes) -> Principal:
        if self._tokens is None or not presented.isascii() or presented[: len(_SCHEME)].lower() != _SCHEME:
            raise InvalidCredentials
        try:
            return self._tokens.principal_of(presented[len(_SCHEME) :].decode())
        except BadToken as error:
            raise InvalidCredentials from error


def has_credentials(headers: Headers) -> bool:
    """Whether any credentials were sent, valid or not."""
    return any(name.lower() in (b"x-api-key", b"authorization") for name, _ in headers)


def _values(headers: Headers, header: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == header]
