"""Who is asking: the one place that turns credentials into a team."""

from collections.abc import Sequence
from dataclasses import replace

from web.auth.api_keys import KnownKeys
from web.auth.errors import Denied
from web.auth.jwt import BadToken, Tokens
from web.auth.principal import Principal

Headers = Sequence[tuple[bytes, bytes]]
"""Raw ASGI headers: names in lower case, repeated ones as they came."""

_SCHEME = b"bearer "


class Unauthorized(Denied):
    """No credentials, or none that are right; one text for all of these."""

    def __init__(self) -> None:
        super().__init__("Send a valid API key as x-api-key, or a valid token as Authorization: Bearer.")


class Authenticator:
    """Reads an API key or a bearer token; if both are sent they must agree."""

    def __init__(self, api_keys: Sequence[KnownKeys], tokens: Tokens | None) -> None:
        self._api_keys = api_keys
        self._tokens = tokens

    def waits(self, headers: Headers) -> bool:
        """Whether `authenticate` may wait for a file or a host, and is not for an event loop."""
        sources = (
            (b"x-api-key", any(keys.waits for keys in self._api_keys)),
            (b"authorization", self._tokens is not None and self._tokens.waits),
        )
        return any(waits and _values(headers, name) for name, waits in sources)

    def authenticate(self, headers: Headers) -> Principal:
        """The caller. Raises Unauthorized."""
        keys, tokens = _values(headers, b"x-api-key"), _values(headers, b"authorization")
        if len(keys) > 1 or len(tokens) > 1 or not (keys or tokens):
            raise Unauthorized
        found = [*map(self._by_key, keys), *map(self._by_token, tokens)]
        if len({principal.team for principal in found}) != 1:
            raise Unauthorized
        # Either alone is enough, for publishing as well.
        return replace(found[0], may_publish=any(principal.may_publish for principal in found))

    def _by_key(self, presented: bytes) -> Principal:
        # Every source is asked, so that time does not tell which one knows a key.
        found = [principal for keys in self._api_keys if (principal := keys.find(presented)) is not None]
        if not found:
            raise Unauthorized
        return found[0]

    def _by_token(self, presented: bytes) -> Principal:
        if self._tokens is None or not presented.isascii() or presented[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthorized
        try:
            return self._tokens.principal_of(presented[len(_SCHEME) :].decode())
        except BadToken as error:
            raise Unauthorized from error


def has_credentials(headers: Headers) -> bool:
    """Whether any credentials were sent, right or wrong."""
    return any(name.lower() in (b"x-api-key", b"authorization") for name, _ in headers)


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]
