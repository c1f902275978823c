"""Bearer tokens: what is accepted, and the attacks that are not."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from web.auth.jwt import BadToken, JwtVerifier, KeySource

NOW = 1_800_000_000
SECRET = "0123456789abcdef0123456789abcdef"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
PUBLIC_PEM = RSA.as_pem(private=False)
GOOD: dict[str, Any] = {"team": "red", "sub": "someone", "iat": NOW, "exp": NOW + 60}


class Keys:
    """The public halves, and a note of who asked."""

    def __init__(self, *keys: RSAKey | ECKey | OKPKey) -> None:
        self.asked: list[str | None] = []
        halves = [type(key).import_key({**key.as_dict(private=False)}) for key in keys]
        self._set = KeySet(list(halves)) if halves else None

    def keys_for(self, kid: str | None) -> KeySet | None:
        self.asked.append(kid)
        return self._set


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def as_json(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def signed(header: Mapping[str, Any] | bytes, claims: object, sign: Callable[[bytes], bytes]) -> str:
    """A token of any text at all: a library would refuse to make most of these."""
    signing_input = f"{encoded(as_json(header))}.{encoded(as_json(claims))}"
    return f"{signing_input}.{encoded(sign(signing_input.encode()))}"


def by_secret(content: bytes, secret: bytes = SECRET.encode()) -> bytes:
    return hmac.digest(secret, content, hashlib.sha256)


def by_key(name: str, key: RSAKey | ECKey | OKPKey) -> Callable[[bytes], bytes]:
    return lambda content: JWSRegistry.algorithms[name].sign(content, key)


def hs256(claims: object, **header: Any) -> str:
    return signed({"alg": "HS256", "typ": "JWT", **header}, claims, by_secret)


def rs256(claims: object, key: RSAKey = RSA, **header: Any) -> str:
    return signed({"alg": "RS256", "kid": "rsa", **header}, claims, by_key("RS256", key))


def verifier(
    jwks: KeySource | None = None, audience: str | None = None, issuer: str | None = None, secret: str | None = SECRET
) -> JwtVerifier:
    return JwtVerifier(secret=secret, jwks=jwks, audience=audience, issuer=issuer, clock=lambda: NOW)


def both() -> JwtVerifier:
    return verifier(Keys(RSA, EC, ED))


def public(audience: str | None = None, issuer: str | None = None) -> JwtVerifier:
    return verifier(Keys(RSA, EC, ED), audience, issuer, secret=None)


@pytest.mark.parametrize(
    "token",
    [
        hs256(GOOD),
        hs256(GOOD, kid="anything"),
        rs256(GOOD),
        signed({"alg": "ES256", "kid": "ec"}, GOOD, by_key("ES256", EC)),
        signed({"alg": "EdDSA", "kid": "ed"}, GOOD, by_key("EdDSA", ED)),
        signed({"alg": "Ed25519", "kid": "ed"}, GOOD, by_key("Ed25519", ED)),
    ],
    ids=["HS256", "HS256 with a kid", "RS256", "ES256", "EdDSA", "Ed25519"],
)
def test_the_algorithm_chooses_the_verifier(token: str) -> None:
    assert both().principal_of(token).team == "red"


def test_a_token_without_kid_is_verified_by_the_only_key() -> None:
    token = signed({"alg": "RS256"}, GOOD, by_key("RS256", RSA))
    keys = Keys(RSA)
    assert verifier(keys, secret=None).principal_of(token).team == "red"
    assert keys.asked == [None]
    with pytest.raises(BadToken):
        public().principal_of(token)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW + 1},
        {"exp": 253_402_300_799},
        {"nbf": NOW + 60, "iat": NOW + 60},
        {"nbf": 0, "iat": 0},
        {"sub": "someone"},
        {"aud": ["x"], "iss": "y", "jti": "z"},
        {"team": "A0_.-" + "x" * 123},
        {"scope": "whatever", "validate_exp": 1},
    ],
)
def test_claims_that_are_fine(claims: dict[str, Any]) -> None:
    token = hs256({**GOOD, **claims})
    assert verifier().principal_of(token).team == claims.get("team", "red")


@pytest.mark.parametrize("audience", ["me", ["you", "me"]])
def test_audience_and_issuer_that_are_wanted(audience: object) -> None:
    claims = {**GOOD, "aud": audience, "iss": "https://issuer"}
    assert verifier(audience="me", issuer="https://issuer").principal_of(hs256(claims)).team == "red"


def nested(depth: int) -> bytes:
    return b'{"team":"red","sub":"x","iat":1,"exp":%d,"x":%b%b}' % (NOW + 60, b"[" * depth, b"]" * depth)


def raw(exp: bytes) -> bytes:
    return b'{"team":"red","sub":"x","iat":1,"exp":%b}' % exp


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != claim}


# What a claim of these is refused for is its time alone.
assert verifier().principal_of(hs256(raw(b"%d" % (NOW + 1)))).team == "red"
HEADER = encoded(b'{"alg":"HS256"}')
STRANGERS_JWK = STRANGER.as_dict(private=False)

ATTACKS: dict[str, str] = {
    "alg none": signed({"alg": "none"}, GOOD, lambda _: b""),
    "alg None": signed({"alg": "None"}, GOOD, by_secret),
    "alg none with kid": signed({"alg": "none", "kid": "rsa"}, GOOD, lambda _: b""),
    "alg empty": signed({"alg": ""}, GOOD, by_secret),
    "alg missing": signed({"typ": "JWT"}, GOOD, by_secret),
    "alg null": signed({"alg": None}, GOOD, by_secret),
    "alg list": signed({"alg": ["HS256"]}, GOOD, by_secret),
    "alg object": signed({"alg": {"HS256": 1}}, GOOD, by_secret),
    "alg number": signed({"alg": 256}, GOOD, by_secret),
    "alg in another case": signed({"alg": "hs256"}, GOOD, by_secret),
    "alg unknown": signed({"alg": "XS256"}, GOOD, by_secret),
    "alg HS512": signed({"alg": "HS512"}, GOOD, lambda content: hmac.digest(SECRET.encode(), content, hashlib.sha512)),
    "alg RS512": signed({"alg": "RS512", "kid": "rsa"}, GOOD, by_key("RS512", RSA)),
    "alg PS256": signed({"alg": "PS256", "kid": "rsa"}, GOOD, by_key("PS256", RSA)),
    "HS256 by the public key": signed({"alg": "HS256"}, GOOD, lambda content: by_secret(content, PUBLIC_PEM)),
    "HS256 by the public key and its kid": signed(
        {"alg": "HS256", "kid": "rsa"}, GOOD, lambda content: by_secret(content, PUBLIC_PEM)
    ),
    "HS256 by no secret": signed({"alg": "HS256"}, GOOD, lambda content: by_secret(content, b"")),
    "RS256 by a stranger": rs256(GOOD, STRANGER),
    "RS256 named, signed by the secret": signed({"alg": "RS256", "kid": "rsa"}, GOOD, by_secret),
    "RS256 with the kid of another kind": rs256(GOOD, kid="ec"),
    "ES256 with the kid of RSA": signed({"alg": "ES256", "kid": "rsa"}, GOOD, by_key("ES256", EC)),
    "ES256 all zero": signed({"alg": "ES256", "kid": "ec"}, GOOD, lambda _: bytes(64)),
    "kid unknown": rs256(GOOD, kid="other"),
    "kid with a path": rs256(GOOD, kid="../../dev/null"),
    "kid number": rs256(GOOD, kid=1),
    "kid list": rs256(GOOD, kid=["rsa"]),
    "kid object": rs256(GOOD, kid={"rsa": 1}),
    "kid empty": rs256(GOOD, kid=""),
    "embedded jwk": rs256(GOOD, STRANGER, jwk={"kty": "RSA", "n": STRANGERS_JWK["n"], "e": STRANGERS_JWK["e"]}),
    "embedded jwk, rightly signed": hs256(GOOD, jwk={"kty": "oct", "k": "AA"}),
    "embedded jku": rs256(GOOD, STRANGER, jku="http://127.0.0.1:1/keys"),
    "embedded jku, rightly signed": rs256(GOOD, jku="http://127.0.0.1:1/keys"),
    "embedded x5u, rightly signed": rs256(GOOD, x5u="http://127.0.0.1:1/keys"),
    "embedded x5c, rightly signed": rs256(GOOD, x5c=["AA"]),
    "crit": hs256(GOOD, crit=["exp"], exp=1),
    "crit empty": hs256(GOOD, crit=[]),
    "crit of b64": hs256(GOOD, crit=["b64"], b64=True),
    "b64": hs256(GOOD, b64=False),
    "unknown header": hs256(GOOD, zip="DEF"),
    "header is a list": signed(b'["HS256"]', GOOD, by_secret),
    "header is text": signed(b'"HS256"', GOOD, by_secret),
    "header is not JSON": signed(b"{alg:HS256}", GOOD, by_secret),
    "header is not UTF-8": signed(b'{"alg":"HS256","kid":"\xff"}', GOOD, by_secret),
    "header nested deeply": signed(b'{"alg":"HS256","x":' + b"[" * 2900 + b"]" * 2900 + b"}", GOOD, by_secret),
    "header over-long": hs256(GOOD, kid="k" * 2000),
    "no exp": hs256(without("exp")),
    "exp null": hs256({**GOOD, "exp": None}),
    "exp text": hs256({**GOOD, "exp": str(NOW + 60)}),
    "exp float": hs256({**GOOD, "exp": NOW + 60.5}),
    "exp whole float": hs256({**GOOD, "exp": NOW + 60.0}),
    "exp true": hs256({**GOOD, "exp": True}),
    "exp list": hs256({**GOOD, "exp": [NOW + 60]}),
    "exp object": hs256({**GOOD, "exp": {}}),
    "exp NaN": hs256(raw(b"NaN")),
    "exp Infinity": hs256(raw(b"Infinity")),
    "exp 1e400": hs256(raw(b"1e400")),
    "exp huge": hs256(raw(b"9" * 400)),
    "exp of more digits than Python reads": hs256(raw(b"9" * 5000)),
    "exp in milliseconds": hs256({**GOOD, "exp": 253_402_300_800}),
    "exp negative": hs256({**GOOD, "exp": -1}),
    "exp zero": hs256({**GOOD, "exp": 0}),
    "expired": hs256({**GOOD, "exp": NOW}),
    "expired a minute ago": hs256({**GOOD, "exp": NOW - 60}),
    "expired, twice named": hs256(b'{"team":"red","sub":"x","iat":1,"exp":%d,"exp":1}' % (NOW + 60)),
    "nbf future": hs256({**GOOD, "nbf": NOW + 61}),
    "nbf text": hs256({**GOOD, "nbf": "0"}),
    "nbf float": hs256({**GOOD, "nbf": 0.5}),
    "nbf null": hs256({**GOOD, "nbf": None}),
    "iat future": hs256({**GOOD, "iat": NOW + 61}),
    "iat missing": hs256(without("iat")),
    "iat null": hs256({**GOOD, "iat": None}),
    "iat text": hs256({**GOOD, "iat": "0"}),
    "iat NaN": hs256(b'{"team":"red","sub":"x","exp":%d,"iat":NaN}' % (NOW + 60)),
    "team missing": hs256(without("team")),
    "team null": hs256({**GOOD, "team": None}),
    "team empty": hs256({**GOOD, "team": ""}),
    "team number": hs256({**GOOD, "team": 7}),
    "team true": hs256({**GOOD, "team": True}),
    "team list": hs256({**GOOD, "team": ["red"]}),
    "team object": hs256({**GOOD, "team": {"red": 1}}),
    "team path": hs256({**GOOD, "team": "../x"}),
    "team with a slash": hs256({**GOOD, "team": "a/b"}),
    "team with a newline": hs256({**GOOD, "team": "red\n"}),
    "team with a space": hs256({**GOOD, "team": " red"}),
    "team too long": hs256({**GOOD, "team": "x" * 129}),
    "team non-ASCII": hs256({**GOOD, "team": "rëd"}),
    "sub missing": hs256(without("sub")),
    "sub empty": hs256({**GOOD, "sub": ""}),
    "sub null": hs256({**GOOD, "sub": None}),
    "sub number": hs256({**GOOD, "sub": 1}),
    "sub list": hs256({**GOOD, "sub": ["x"]}),
    "payload list": hs256([GOOD]),
    "payload text": hs256("red"),
    "payload null": hs256(None),
    "payload empty": hs256(b""),
    "payload not JSON": hs256(b"team=red"),
    "payload not UTF-8": hs256(b'{"team":"\xff"}'),
    "payload nested deeply": hs256(nested(2900)),
    "signature changed": hs256(GOOD)[:-3] + "AAA",
    "signature missing": hs256(GOOD).rpartition(".")[0] + ".",
    "signature padded": hs256(GOOD) + "=",
    "payload changed": f"{HEADER}.{encoded(as_json({**GOOD, 'team': 'blue'}))}.{hs256(GOOD).rpartition('.')[2]}",
    "one segment": HEADER,
    "two segments": hs256(GOOD).rpartition(".")[0],
    "four segments": hs256(GOOD) + ".x",
    "five segments": hs256(GOOD) + ".x.y",
    "five empty segments": "....",
    "three empty segments": "..",
    "empty": "",
    "JSON serialization": json.dumps({"payload": "x", "signatures": []}),
    "space in front": " " + hs256(GOOD),
    "newline at the end": hs256(GOOD) + "\n",
    "over-long": hs256({**GOOD, "x": "x" * 8000}),
    "non-ASCII": hs256(GOOD) + "é",
    "full-width": hs256(GOOD).replace("e", "\uff45"),
    "lone surrogate": hs256(GOOD) + "\ud800",
    "NUL": hs256(GOOD) + "\0",
}


def test_attacks_get_one_answer(subtests: pytest.Subtests) -> None:
    for name, token in ATTACKS.items():
        with subtests.test(name):
            with pytest.raises(BadToken) as caught:
                both().principal_of(token)
            assert caught.value.message == BadToken().message
            assert caught.value.code == "unauthorized"


@pytest.mark.parametrize("name", ["HS256 by the public key", "HS256 by the public key and its kid"])
def test_with_public_keys_alone_no_secret_is_tried(name: str) -> None:
    keys = Keys(RSA, EC, ED)
    with pytest.raises(BadToken):
        verifier(keys, secret=None).principal_of(ATTACKS[name])
    with pytest.raises(BadToken):
        verifier(keys, secret=None).principal_of(hs256(GOOD))
    assert keys.asked == []


def test_with_a_secret_alone_no_public_key_is_tried() -> None:
    with pytest.raises(BadToken):
        verifier().principal_of(rs256(GOOD))


def test_with_neither_nothing_is_accepted() -> None:
    for token in (hs256(GOOD), rs256(GOOD)):
        with pytest.raises(BadToken):
            verifier(secret=None).principal_of(token)


def test_a_secret_key_among_public_ones_is_no_verifier() -> None:
    class Careless:
        def keys_for(self, kid: str | None) -> KeySet:
            return KeySet([OctKey.import_key(SECRET, {"kid": "rsa"})])

    for algorithm in ("HS256", "RS256", "ES256", "EdDSA"):
        with pytest.raises(BadToken):
            verifier(Careless(), secret=None).principal_of(signed({"alg": algorithm, "kid": "rsa"}, GOOD, by_secret))


def test_no_keys_to_be_had_is_a_refusal() -> None:
    with pytest.raises(BadToken):
        verifier(Keys()).principal_of(rs256(GOOD))


@pytest.mark.parametrize("audience", ["you", ["you"], [], "", None, 1, {"me": 1}, [["me"]], "me ", "ME", ...])
def test_a_wrong_or_missing_audience(audience: object) -> None:
    claims = GOOD if audience is ... else {**GOOD, "aud": audience}
    with pytest.raises(BadToken):
        public(audience="me").principal_of(rs256(claims))


@pytest.mark.parametrize("issuer", ["https://other", "https://issuer/", ["https://issuer"], "", None, 1, ...])
def test_a_wrong_or_missing_issuer(issuer: object) -> None:
    claims = GOOD if issuer is ... else {**GOOD, "iss": issuer}
    with pytest.raises(BadToken):
        public(issuer="https://issuer").principal_of(rs256(claims))


@pytest.mark.parametrize("secret", ["", "x" * 31, "é" * 15])
def test_a_short_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="shorter than 32 bytes"):
        JwtVerifier(secret=secret)


def test_a_public_key_is_no_secret() -> None:
    with pytest.raises(ValueError, match="public keys"):
        JwtVerifier(secret=PUBLIC_PEM.decode())


def test_the_longest_token_is_of_8_kilobytes() -> None:
    # Unpadded base64 leaves out every fourth length: headers of two lengths reach what one alone does not.
    tokens = [hs256({**GOOD, "x": "x" * size}, kid=kid) for kid in ("k", "kk") for size in range(5950, 6060)]
    made = {len(token): token for token in tokens}
    assert verifier().principal_of(made[8192]).team == "red"
    with pytest.raises(BadToken):
        verifier().principal_of(made[8193])


def test_without_a_clock_it_is_now() -> None:
    now = int(time.time())
    assert JwtVerifier(secret=SECRET).principal_of(hs256({**GOOD, "iat": now, "exp": now + 60})).team == "red"
    with pytest.raises(BadToken):
        JwtVerifier(secret=SECRET).principal_of(hs256({**GOOD, "iat": now, "exp": now - 1}))


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("publish", True),
        ("read publish write", True),
        (None, False),
        ("", False),
        ("read", False),
        ("publisher", False),
        ("tailrace:publish", False),
        ("PUBLISH", False),
        (["publish"], False),
        ({"publish": True}, False),
        (True, False),
        (7, False),
    ],
)
def test_a_scope_decides_who_may_publish(scope: object, may: bool) -> None:
    """Whatever else it says, the token reads as before."""
    found = both().principal_of(hs256(GOOD | ({} if scope is None else {"scope": scope})))
    assert (found.team, found.may_publish) == ("red", may)


NEW_SECRET = "fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize("secrets", [f"{SECRET},{NEW_SECRET}", f" {NEW_SECRET} , {SECRET},"])
def test_a_token_of_any_of_several_secrets_is_accepted(secrets: str) -> None:
    rotating = verifier(secret=secrets)
    for secret in (SECRET, NEW_SECRET):
        token = signed({"alg": "HS256"}, GOOD, partial(by_secret, secret=secret.encode()))
        assert rotating.principal_of(token).team == "red"
    for stranger in ("x" * 32, secrets, f"{SECRET},"):
        with pytest.raises(BadToken):
            rotating.principal_of(signed({"alg": "HS256"}, GOOD, partial(by_secret, secret=stranger.encode())))
    # Claims are checked whichever secret has signed them.
    expired = {**GOOD, "exp": 1}
    for secret in (SECRET, NEW_SECRET):
        with pytest.raises(BadToken):
            rotating.principal_of(signed({"alg": "HS256"}, expired, partial(by_secret, secret=secret.encode())))


def test_a_secret_that_is_removed_is_not_accepted() -> None:
    with pytest.raises(BadToken):
        verifier(secret=NEW_SECRET).principal_of(hs256(GOOD))


def test_a_short_secret_among_several_is_refused_by_its_position() -> None:
    with pytest.raises(ValueError, match="secret 2 of 2, which commas separate, is shorter than 32 bytes") as caught:
        JwtVerifier(secret=f"{SECRET},short-secret")
    assert "short-secret" not in str(caught.value)
    with pytest.raises(ValueError, match="no secret"):
        JwtVerifier(secret=" , ")


def test_one_secret_is_taken_as_it_is() -> None:
    secret = f" {SECRET} "
    token = signed({"alg": "HS256"}, GOOD, partial(by_secret, secret=secret.encode()))
    assert verifier(secret=secret).principal_of(token).team == "red"
