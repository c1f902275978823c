"""Credentials in raw headers: either alone is enough, both must agree, and nothing but InvalidCredentials is raised."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from web.auth.api_keys import parse_api_keys
from web.auth.authenticator import Authenticator, InvalidCredentials, has_credentials
from web.auth.jwt import JwtVerifier
from web.auth.key_file import KeyFile
from web.auth.principal import Principal

SECRET = "0123456789abcdef0123456789abcdef"


def token(team: str) -> bytes:
    claims = {"team": team, "sub": "someone", "iat": 1_000, "exp": 2_000}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"]).encode()


RED, BLUE = token("red"), token("blue")
KEYS = parse_api_keys("red-key=red,blue-key=blue")
RED_KEY, BLUE_KEY = (hashlib.sha256(f"{team}-key".encode()).hexdigest()[:8] for team in ("red", "blue"))
BOTH = Authenticator([KEYS], JwtVerifier(secret=SECRET, clock=lambda: 1_000))


def key(value: bytes) -> tuple[bytes, bytes]:
    return b"x-api-key", value


def bearer(value: bytes, scheme: bytes = b"Bearer ") -> tuple[bytes, bytes]:
    return b"authorization", scheme + value


ACCEPTED: dict[str, tuple[list[tuple[bytes, bytes]], Principal]] = {
    "key": ([key(b"red-key")], Principal("red", "key", RED_KEY)),
    "token": ([bearer(BLUE)], Principal("blue", "token", "someone")),
    "both agree": ([bearer(RED), key(b"red-key")], Principal("red", "key", RED_KEY)),
    "among others": ([(b"host", b"x"), key(b"blue-key"), (b"cookie", b"a=b")], Principal("blue", "key", BLUE_KEY)),
    "scheme in another case": ([bearer(RED, b"bEARER ")], Principal("red", "token", "someone")),
    "name in another case": ([(b"X-Api-Key", b"red-key")], Principal("red", "key", RED_KEY)),
}


@pytest.mark.parametrize(("headers", "principal"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_either_is_enough(headers: list[tuple[bytes, bytes]], principal: Principal) -> None:
    assert BOTH.authenticate(headers) == principal


REFUSED: dict[str, list[tuple[bytes, bytes]]] = {
    "nothing": [],
    "other headers": [(b"host", b"x"), (b"x-api-keys", b"red-key"), (b"proxy-authorization", b"Bearer " + RED)],
    "wrong key": [key(b"green-key")],
    "empty key": [key(b"")],
    "key of non-ASCII": [key("rüd-key".encode())],
    "key of broken UTF-8": [key(b"\xff\xfe")],
    "over-long key": [key(b"x" * 100_000)],
    "key twice": [key(b"red-key"), key(b"red-key")],
    "key twice in another case": [key(b"red-key"), (b"X-API-KEY", b"red-key")],
    "key list": [key(b"red-key, red-key")],
    "key in the token": [bearer(b"red-key")],
    "token in the key": [key(RED)],
    "wrong token": [bearer(RED[:-4] + b"AAAA")],
    "empty token": [bearer(b"")],
    "scheme alone": [bearer(b"", b"Bearer")],
    "empty header": [bearer(b"", b"")],
    "no scheme": [bearer(RED, b"")],
    "other scheme": [bearer(RED, b"Basic ")],
    "longer scheme": [bearer(RED, b"Bearerx ")],
    "two spaces": [bearer(RED, b"Bearer  ")],
    "tab": [bearer(RED, b"Bearer\t")],
    "token of non-ASCII": [bearer(RED + "é".encode())],
    "over-long token": [bearer(b"x" * 1_000_000)],
    "token twice": [bearer(RED), bearer(RED)],
    "token list": [bearer(RED + b", Bearer " + RED)],
    "both disagree": [key(b"red-key"), bearer(BLUE)],
    "wrong key beside a token": [key(b"green-key"), bearer(RED)],
    "empty key beside a token": [key(b""), bearer(RED)],
    "wrong token beside a key": [key(b"red-key"), bearer(b"x.y.z")],
    "other scheme beside a key": [key(b"red-key"), bearer(b"cmVkOg==", b"Basic ")],
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
def test_everything_else_gets_one_answer(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        BOTH.authenticate(headers)
    assert caught.value.message == InvalidCredentials().message
    assert caught.value.code == "unauthorized"


def test_the_answer_names_both_ways() -> None:
    assert "x-api-key" in InvalidCredentials().message
    assert "Authorization: Bearer" in InvalidCredentials().message


def test_what_is_not_configured_opens_nothing() -> None:
    for authenticator, headers in [
        (Authenticator([], None), [key(b"red-key")]),
        (Authenticator([], None), [bearer(RED)]),
        (Authenticator([KEYS], None), [bearer(RED)]),
        (Authenticator([KEYS], None), [key(b"red-key"), bearer(RED)]),
        (Authenticator([], JwtVerifier(secret=SECRET, clock=lambda: 1_000)), [key(b"red-key")]),
    ]:
        with pytest.raises(InvalidCredentials):
            authenticator.authenticate(headers)


class _Elsewhere:
    """Keys of a host, which nobody asks here."""

    def keys_for(self, kid: str | None) -> None:
        raise AssertionError(kid)


WAITING = {
    "keys of the settings": ([KEYS], JwtVerifier(secret=SECRET), False, False),
    "keys of a file": ([KEYS, "file"], None, True, False),
    "tokens of an issuer": ([KEYS], JwtVerifier(jwks=_Elsewhere()), False, True),
    "both": (["file"], JwtVerifier(secret=SECRET, jwks=_Elsewhere()), True, True),
}


@pytest.mark.parametrize(("sources", "tokens", "by_key", "by_token"), WAITING.values(), ids=WAITING.keys())
def test_only_what_looks_at_files_or_hosts_waits(
    tmp_path: Path, sources: list[Any], tokens: JwtVerifier | None, by_key: bool, by_token: bool
) -> None:
    """What waits is not for the event loop; what does not is answered there, however many ask."""
    (tmp_path / "keys").write_text("")
    authenticator = Authenticator([KeyFile(tmp_path / "keys") if one == "file" else one for one in sources], tokens)
    assert authenticator.waits([key(b"red-key")]) is by_key
    assert authenticator.waits([(b"X-Api-Key", b"wrong")]) is by_key
    assert authenticator.waits([bearer(RED)]) is by_token
    assert authenticator.waits([bearer(RED), key(b"red-key")]) is (by_key or by_token)
    assert not authenticator.waits([(b"host", b"x")])


def test_credentials_are_seen_right_or_wrong() -> None:
    assert has_credentials([key(b"")])
    assert has_credentials([(b"Authorization", b"x")])
    assert not has_credentials([(b"host", b"x")])
    assert not has_credentials([])


NAMES = st.sampled_from([b"x-api-key", b"authorization", b"X-Api-Key", b"host"])
VALUES = st.binary(max_size=80) | st.builds(bytes.__add__, st.just(b"Bearer "), st.binary(max_size=80))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_no_headers_raise_anything_else(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidCredentials):
        BOTH.authenticate(headers)
