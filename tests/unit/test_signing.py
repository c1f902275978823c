"""Signed URLs: what verify() accepts, and everything that it refuses."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from web.auth.errors import Unauthenticated
from web.auth.signed_urls import BadSignature, ExpiredUrl, FutureUrl, Grant, SigningKey, UrlSigner, parse_signing_keys
from web.cli.sign import open_signer
from web.settings import ServerSettings, SigningSettings

BASE = "https://exports.example"
WORKFLOW, OTHER_WORKFLOW = "people", "animals"
EXPORT, OTHER_EXPORT = "7cc270e7-553b-8ea7-b2eb-dabfc2ef1023", "d9624b84-1cc3-8983-90e9-36b54aab96c7"
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
TTL = timedelta(hours=1)
END = NOW + TTL
FIRST, SECOND = SigningKey("k1", b"1" * 32), SigningKey("k2", b"2" * 32)
RETIRED = SigningKey("k0", b"0" * 32)


def signer(
    *keys: SigningKey, base_url: str = BASE, now: datetime = NOW, ttl: timedelta = TTL, formats: tuple[str, ...] = ()
) -> UrlSigner:
    return UrlSigner(
        keys or (FIRST, SECOND),
        base_url=base_url,
        max_ttl=ttl,
        formats=formats or ("csv", "json", "parquet"),
        clock=lambda: now,
    )


def split(url: str) -> tuple[bytes, bytes]:
    parts = urlsplit(url)
    return parts.path.encode(), parts.query.encode()


PATH, QUERY = split(signer().sign(WORKFLOW, EXPORT, "csv", END))
SIG = QUERY.rpartition(b"sig=")[2]
EXPIRES = str(int(END.timestamp())).encode()


def in_path(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    assert PATH.count(old) == 1, old
    return PATH.replace(old, new), QUERY


def in_query(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    assert QUERY.count(old) == 1, old
    return PATH, QUERY.replace(old, new)


def without(name: bytes) -> tuple[bytes, bytes]:
    return PATH, b"&".join(pair for pair in QUERY.split(b"&") if not pair.startswith(name + b"="))


def another(character: bytes) -> bytes:
    return b"A" if character != b"A" else b"B"


def with_sig(sig: bytes) -> tuple[bytes, bytes]:
    return PATH, QUERY.replace(SIG, sig)


def expiring(text: bytes) -> tuple[bytes, bytes]:
    return in_query(b"expires=" + EXPIRES, b"expires=" + text)


def swapped_last(sig: bytes) -> bytes:
    """Another text of the same bytes: the last of 43 characters carries two bits that count for nothing."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return sig[:-1] + bytes([alphabet[alphabet.index(sig[-1]) ^ 1]])


UUID, NAME = EXPORT.encode(), WORKFLOW.encode()
HEXED = base64.urlsafe_b64decode(SIG + b"=").hex().encode()
STANDARD = base64.b64encode(base64.urlsafe_b64decode(SIG + b"="))

TAMPERED: dict[str, tuple[bytes, bytes]] = {
    "other workflow": in_path(NAME, OTHER_WORKFLOW.encode()),
    "other export": in_path(UUID, OTHER_EXPORT.encode()),
    "both of a real export": (PATH.replace(NAME, OTHER_WORKFLOW.encode()).replace(UUID, OTHER_EXPORT.encode()), QUERY),
    "format changed": in_query(b"csv", b"json"),
    "format in other case": in_query(b"csv", b"CSV"),
    "format empty": in_query(b"format=csv", b"format="),
    "format without a value": in_query(b"format=csv", b"format"),
    "format missing": without(b"format"),
    "format unknown": in_query(b"csv", b"xls"),
    "expires one later": expiring(str(int(EXPIRES) + 1).encode()),
    "expires one earlier": expiring(str(int(EXPIRES) - 1).encode()),
    "expires far": expiring(b"9999999999"),
    "expires with a leading zero": expiring(b"0" + EXPIRES),
    "expires ten digits from zero": expiring(b"0" + EXPIRES[1:]),
    "expires with a sign": expiring(b"+" + EXPIRES),
    "expires with an underscore": expiring(EXPIRES[:1] + b"_" + EXPIRES[1:]),
    "expires full-width": expiring("".join(chr(0xFEE0 + digit) for digit in EXPIRES).encode()),
    "expires Arabic digits": expiring("".join(chr(0x0660 + digit - 48) for digit in EXPIRES).encode()),
    "expires as a float": expiring(EXPIRES + b".0"),
    "expires with an exponent": expiring(b"1e10"),
    "expires negative": expiring(b"-" + EXPIRES),
    "expires after a space": expiring(b" " + EXPIRES),
    "expires before a space": expiring(EXPIRES + b" "),
    "expires before a plus": expiring(EXPIRES + b"+"),
    "expires with a newline": expiring(EXPIRES + b"\n"),
    "expires with NUL": expiring(EXPIRES + b"\0"),
    "expires of 5000 digits": expiring(b"1" * 5000),
    "expires of 9 digits": expiring(EXPIRES[:-1]),
    "expires empty": expiring(b""),
    "expires missing": without(b"expires"),
    "sig first character": with_sig(another(SIG[:1]) + SIG[1:]),
    "sig middle character": with_sig(SIG[:21] + another(SIG[21:22]) + SIG[22:]),
    "sig last character": with_sig(SIG[:-1] + another(SIG[-1:])),
    "sig last character that decodes the same": with_sig(swapped_last(SIG)),
    "sig padded": with_sig(SIG + b"="),
    "sig in the standard alphabet, padded": with_sig(STANDARD),
    "sig with a plus": with_sig(b"+" + SIG[1:]),
    "sig with a slash": with_sig(b"/" + SIG[1:]),
    "sig in hex": with_sig(HEXED),
    "sig cut": with_sig(SIG[:-1]),
    "sig longer": with_sig(SIG + b"A"),
    "sig empty": with_sig(b""),
    "sig missing": without(b"sig"),
    "sig non-ASCII": with_sig(SIG[:-1] + b"\xe9"),
    "sig with a two-byte character": with_sig(SIG[:-2] + "é".encode()),
    "sig in other case": with_sig(SIG.swapcase()),
    "sig with a newline": with_sig(SIG + b"\n"),
    "kid of another live key": in_query(b"kid=k1", b"kid=k2"),
    "kid unknown": in_query(b"kid=k1", b"kid=k9"),
    "kid with a path": in_query(b"kid=k1", b"kid=../k2"),
    "kid in other case": in_query(b"kid=k1", b"kid=K1"),
    "kid too long": in_query(b"kid=k1", b"kid=" + b"k" * 17),
    "kid empty": in_query(b"kid=k1", b"kid="),
    "kid missing": without(b"kid"),
    **{f"{pair.partition(b'=')[0].decode()} twice": (PATH, QUERY + b"&" + pair) for pair in QUERY.split(b"&")},
    "format twice, first another": (PATH, b"format=json&" + QUERY),
    "format twice, last another": (PATH, QUERY + b"&format=json"),
    "expires twice, last another": (PATH, QUERY + b"&expires=9999999999"),
    "extra parameter": (PATH, QUERY + b"&download=1"),
    "extra parameter without a name": (PATH, QUERY + b"&=1"),
    "response override": (PATH, QUERY + b"&response-content-type=text/html"),
    "semicolons": (PATH, QUERY.replace(b"&", b";")),
    "one semicolon": in_query(b"&kid", b";kid"),
    "brackets": in_query(b"expires=", b"expires[]="),
    "name in other case": in_query(b"sig=", b"Sig="),
    "name after a space": in_query(b"sig=", b" sig="),
    "two ampersands": in_query(b"&kid", b"&&kid"),
    "escaped ampersand": in_query(b"&kid", b"&amp;kid"),
    "leading ampersand": (PATH, b"&" + QUERY),
    "trailing ampersand": (PATH, QUERY + b"&"),
    "bare question mark": (PATH, b""),
    "second question mark": (PATH, b"?" + QUERY),
    "fragment": (PATH, QUERY + b"#x"),
    "two equals signs": in_query(b"kid=", b"kid=="),
    "value percent-encoded": in_query(b"csv", b"%63sv"),
    "name percent-encoded": in_query(b"sig=", b"%73ig="),
    "sig percent-encoded": with_sig(b"%" + SIG[:1].hex().encode() + SIG[1:]),
    "path percent-encoded": in_path(NAME, b"%70eople"),
    "slash percent-encoded": in_path(b"/exports/", b"/exports%2F"),
    "slash percent-encoded within the workflow": in_path(NAME, b"x%2F" + NAME),
    "dots": in_path(NAME, b"x/../" + NAME),
    "dots before the export": in_path(UUID, b"../exports/" + UUID),
    "encoded dots": in_path(NAME, b"%2e%2e/" + NAME),
    "workflow of dots": in_path(NAME, b".."),
    "doubled slash": in_path(b"/exports/", b"/exports//"),
    "doubled slash in front": (b"/" + PATH, QUERY),
    "trailing slash": (PATH + b"/", QUERY),
    "path parameter": (PATH + b";x=1", QUERY),
    "NUL after the path": (PATH + b"\0", QUERY),
    "newline after the path": (PATH + b"\n", QUERY),
    "space after the path": (PATH + b" ", QUERY),
    "upper-case UUID": (PATH.replace(UUID, UUID.upper()), QUERY),
    "braces around the UUID": in_path(UUID, b"{" + UUID + b"}"),
    "UUID without hyphens": in_path(UUID, UUID.replace(b"-", b"")),
    "UUID as urn": in_path(UUID, b"urn:uuid:" + UUID),
    "homoglyph": in_path(NAME, "p\u0435ople".encode()),
    "overlong UTF-8": in_path(b"/exports/", b"/exports\xc0\xaf"),
    "lone byte": in_path(NAME, b"\xff"),
    "workflow too long": in_path(NAME, b"p" * 129),
    "workflow empty": in_path(NAME, b""),
    "other version": in_path(b"/v4/", b"/v5/"),
    "path in other case": in_path(b"/exports/", b"/Exports/"),
    "suffix": (PATH + b"/status", QUERY),
    "whole URL as path": (BASE.encode() + PATH, QUERY),
    "foreign prefix": (b"/api" + PATH, QUERY),
    "nothing": (b"", b""),
}


def test_tampered_urls_are_refused(subtests: pytest.Subtests) -> None:
    for name, (path, query) in TAMPERED.items():
        with subtests.test(name):
            with pytest.raises(BadSignature) as caught:
                signer().verify(path, query)
            assert caught.value.message == BadSignature().message
            assert caught.value.code == "unauthorized"
            # An expired clock does not tell more: what is ill-signed is never told to have expired.
            with pytest.raises(BadSignature):
                signer(now=datetime(2286, 1, 1, tzinfo=UTC)).verify(path, query)


def test_a_signed_url_is_what_the_contract_says() -> None:
    url = signer().sign(WORKFLOW, EXPORT, "csv", END)
    assert url == (
        f"{BASE}/v4/workflows/people/data/exports/{EXPORT}?format=csv&expires={int(END.timestamp())}&kid=k1&sig="
        + SIG.decode()
    )
    assert signer().verify(PATH, QUERY) == Grant(WORKFLOW, EXPORT, "csv", END, "k1")


def test_the_string_to_sign_is_the_documented_one() -> None:
    fields = ["tailrace-export-url-v1", "GET", BASE, WORKFLOW, EXPORT, "csv", EXPIRES.decode(), "k1"]
    signed = "\n".join(f"{len(field)}:{field}" for field in fields).encode()
    key = hmac.digest(b"1" * 32, b"tailrace-export-url-v1 k1", hashlib.sha256)
    assert base64.urlsafe_b64encode(hmac.digest(key, signed, hashlib.sha256)).rstrip(b"=") == SIG


def test_any_order_of_parameters_is_accepted() -> None:
    for order in permutations(QUERY.split(b"&")):
        assert signer().verify(PATH, b"&".join(order)).export_id == EXPORT, order


@pytest.mark.parametrize("before", [timedelta(seconds=1), timedelta(microseconds=1)])
def test_a_url_is_good_until_just_before_its_expiry(before: timedelta) -> None:
    assert signer(now=END - before).verify(PATH, QUERY).expires == END


@pytest.mark.parametrize("after", [timedelta(0), timedelta(seconds=1), timedelta(days=9999)])
def test_a_url_is_over_at_its_expiry(after: timedelta) -> None:
    with pytest.raises(ExpiredUrl) as caught:
        signer(now=END + after).verify(PATH, QUERY)
    assert caught.value.code == "url_expired"
    assert isinstance(caught.value, Unauthenticated)
    assert not isinstance(caught.value, BadSignature)


def test_a_fraction_of_a_second_is_cut_off() -> None:
    path, query = split(signer().sign(WORKFLOW, EXPORT, "csv", END + timedelta(microseconds=999_999)))
    assert signer().verify(path, query).expires == END


def test_a_url_is_clamped_to_the_longest_ttl_and_a_minute() -> None:
    path, query = split(signer().sign(WORKFLOW, EXPORT, "csv", END + timedelta(seconds=60)))
    assert signer().verify(path, query)
    with pytest.raises(FutureUrl) as caught:
        signer(now=NOW - timedelta(microseconds=1)).verify(path, query)
    assert caught.value.code == "clock_skew"
    assert isinstance(caught.value, Unauthenticated)
    path, query = split(signer().sign(WORKFLOW, EXPORT, "csv", END + timedelta(seconds=61)))
    with pytest.raises(FutureUrl):
        signer().verify(path, query)
    # A wrong signature is never told that a clock is wrong.
    with pytest.raises(BadSignature):
        signer().verify(path, query[:-1] + (b"A" if query[-1:] != b"A" else b"B"))


def _of_a_replica(**settings: Any) -> UrlSigner:
    return open_signer(SigningSettings(signing_keys="k1=" + "1" * 32, **settings), ServerSettings(base_url=BASE))


def test_a_replica_with_a_shorter_ttl_accepts_the_urls_of_one_with_a_longer_one() -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
    path, query = split(_of_a_replica(url_ttl_seconds=604_800).sign(WORKFLOW, EXPORT, "csv", end))
    assert _of_a_replica(url_ttl_seconds=60).verify(path, query).expires == end
    with pytest.raises(FutureUrl):
        _of_a_replica(url_ttl_seconds=60, url_max_ttl_seconds=86_400).verify(path, query)


def test_a_service_may_not_refuse_its_own_urls() -> None:
    assert SigningSettings(url_ttl_seconds=60, url_max_ttl_seconds=60).url_max_ttl == timedelta(seconds=60)
    with pytest.raises(ValidationError, match="less than TAILRACE_URL_TTL_SECONDS") as caught:
        SigningSettings(url_ttl_seconds=61, url_max_ttl_seconds=60)
    assert caught.value.errors()[0]["loc"] == ("url_max_ttl_seconds",)


def test_the_first_key_signs_and_all_verify() -> None:
    old = split(signer(FIRST).sign(WORKFLOW, EXPORT, "csv", END))
    added = signer(FIRST, SECOND)
    moved = signer(SECOND, FIRST)
    new = split(moved.sign(WORKFLOW, EXPORT, "csv", END))
    assert b"kid=k1" in old[1]
    assert b"kid=k2" in new[1]
    for url in (old, new):
        assert added.verify(*url) == moved.verify(*url)
    with pytest.raises(BadSignature):
        signer(SECOND).verify(*old)


def test_a_retired_key_rightly_signed_is_refused() -> None:
    with pytest.raises(BadSignature):
        signer().verify(*split(signer(RETIRED).sign(WORKFLOW, EXPORT, "csv", END)))


@pytest.mark.parametrize("secret", [b"\0" * 32, b"", b"dummy"])
@pytest.mark.parametrize("kid", ["dummy", "k9"])
def test_no_guessable_secret_stands_in_for_an_unknown_key(kid: str, secret: bytes) -> None:
    with pytest.raises(BadSignature):
        signer().verify(*split(signer(SigningKey(kid, secret)).sign(WORKFLOW, EXPORT, "csv", END)))


def test_a_key_under_another_id_signs_otherwise() -> None:
    with pytest.raises(BadSignature):
        signer().verify(*split(signer(SigningKey("k1", SECOND.secret)).sign(WORKFLOW, EXPORT, "csv", END)))
    path, query = split(signer(SigningKey("k2", FIRST.secret)).sign(WORKFLOW, EXPORT, "csv", END))
    with pytest.raises(BadSignature):
        signer().verify(path, query.replace(b"kid=k2", b"kid=k1"))


@pytest.mark.parametrize("base", ["http://exports.example", "https://other.example", BASE + ":8443", BASE + "/api"])
def test_a_url_of_another_audience_is_refused(base: str) -> None:
    with pytest.raises(BadSignature):
        signer().verify(PATH, split(signer(base_url=base).sign(WORKFLOW, EXPORT, "csv", END))[1])


@pytest.mark.parametrize("base", [BASE + "/api", BASE + "/api/", BASE + "/v4", BASE + "/a.b/c"])
def test_the_path_of_the_base_url_may_be_there_or_stripped(base: str) -> None:
    prefixed = signer(base_url=base)
    path, query = split(prefixed.sign(WORKFLOW, EXPORT, "csv", END))
    assert path == urlsplit(base).path.rstrip("/").encode() + PATH
    assert prefixed.verify(path, query) == prefixed.verify(PATH, query)
    for wrong in (b"/apix" + PATH, b"/aXb/c" + PATH, urlsplit(base).path.rstrip("/").encode() + path, b"/x" + path):
        with pytest.raises(BadSignature):
            prefixed.verify(wrong, query)


def test_a_boundary_between_fields_cannot_shift() -> None:
    """The base URL and the workflow are neighbours in what is signed: a piece of one must not pass for the other."""
    path, query = split(signer(base_url=BASE + "x").sign("y", EXPORT, "csv", END))
    with pytest.raises(BadSignature):
        signer().verify(path.replace(b"/y/", b"/xy/"), query)
    one, other = signer(base_url=BASE + "\ny"), signer(base_url=BASE)
    query = split(one.sign("y", EXPORT, "csv", END))[1]
    with pytest.raises(BadSignature):
        other.verify(path, query)


@pytest.mark.parametrize(("left", "right"), [("ab", "a"), ("a1", "a"), ("a.b", "a-b")])
def test_neighbours_get_other_signatures(left: str, right: str) -> None:
    path, query = split(signer().sign(left, EXPORT, "csv", END))
    with pytest.raises(BadSignature):
        signer().verify(path.replace(left.encode(), right.encode(), 1), query)


@pytest.mark.parametrize(
    ("workflow", "export", "format_name", "expires"),
    [
        ("../x", EXPORT, "csv", END),
        ("a/b", EXPORT, "csv", END),
        ("", EXPORT, "csv", END),
        (WORKFLOW, EXPORT.upper(), "csv", END),
        (WORKFLOW, "x", "csv", END),
        (WORKFLOW, EXPORT, "xls", END),
        (WORKFLOW, EXPORT, "csv&x=1", END),
        (WORKFLOW, EXPORT, "csv", datetime(1999, 1, 1, tzinfo=UTC)),
        (WORKFLOW, EXPORT, "csv", datetime(2400, 1, 1, tzinfo=UTC)),
        (WORKFLOW, EXPORT, "csv", END.replace(tzinfo=None)),
    ],
)
def test_what_could_not_be_verified_is_not_signed(
    workflow: str, export: str, format_name: str, expires: datetime
) -> None:
    with pytest.raises(ValueError, match=r"cannot be part|time zone"):
        signer().sign(workflow, export, format_name, expires)


def test_a_signer_needs_a_key() -> None:
    with pytest.raises(ValueError, match="no key"):
        UrlSigner([], base_url=BASE, max_ttl=TTL, formats=["csv"])


def test_without_a_clock_it_is_now() -> None:
    fresh = UrlSigner([FIRST], base_url=BASE, max_ttl=TTL, formats=["csv"])
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    assert fresh.verify(*split(fresh.sign(WORKFLOW, EXPORT, "csv", end))).expires == end


def replaced(text: bytes, at: int, new: int) -> bytes:
    return text[:at] + bytes([new]) + text[at + 1 :]


def inserted(text: bytes, at: int, new: int) -> bytes:
    return text[:at] + bytes([new]) + text[at:]


def deleted(text: bytes, at: int, new: int) -> bytes:
    return text[:at] + text[at + 1 :]


@given(
    edit=st.sampled_from([replaced, inserted, deleted]),
    at=st.integers(0, len(PATH + QUERY) - 1),
    new=st.integers(0, 255) | st.sampled_from(b"%+;&=/.-_09azAZ"),
)
def test_any_change_of_one_character_is_refused(edit: Callable[[bytes, int, int], bytes], at: int, new: int) -> None:
    path, query = PATH, QUERY
    if at < len(PATH):
        path = edit(PATH, at, new)
    else:
        query = edit(QUERY, at - len(PATH), new)
    if (path, query) == (PATH, QUERY):
        assert signer().verify(path, query)
        return
    with pytest.raises(BadSignature):
        signer().verify(path, query)


@given(path=st.binary(max_size=200) | st.just(PATH), query=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_by_the_one_error(path: bytes, query: bytes) -> None:
    with pytest.raises(BadSignature):
        signer().verify(path, query)


@given(
    workflow=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", fullmatch=True),
    export=st.uuids().map(str),
    format_name=st.sampled_from(["csv", "json", "parquet"]),
    seconds=st.integers(1, 3660),
)
def test_what_was_signed_is_granted(workflow: str, export: str, format_name: str, seconds: int) -> None:
    end = NOW + timedelta(seconds=seconds)
    granted = signer().verify(*split(signer().sign(workflow, export, format_name, end)))
    assert granted == Grant(workflow, export, format_name, end, "k1")


def test_keys_are_read_in_order() -> None:
    text = f" k2={'b=' * 16} ,k1={'a' * 32},"
    assert parse_signing_keys(text) == (SigningKey("k2", b"b=" * 16), SigningKey("k1", b"a" * 32))
    assert parse_signing_keys("k=" + "é" * 16) == (SigningKey("k", "é".encode() * 16),)


SECRET = "s3cret-" + "x" * 32


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no key"),
        (" , ", "no key"),
        (SECRET, "entry 1 is not kid=secret"),
        ("k1", "entry 1 is not"),
        (f"={SECRET}", "entry 1 is not"),
        (f"K1={SECRET}", "entry 1 is not"),
        (f"-k={SECRET}", "entry 1 is not"),
        (f"k1\n={SECRET}", "entry 1 is not"),
        (f"k_1={SECRET}", "entry 1 is not"),
        (f"{'k' * 17}={SECRET}", "entry 1 is not"),
        (f"k1={SECRET},,{SECRET}", "entry 3 is not"),
        (f"k1={SECRET},k2=s3cret-{'x' * 24}", "entry 2 is shorter than 32 bytes"),
        (f"k1={SECRET},s3cret-more==", "entry 2 is shorter"),
        (f"k1={SECRET},k1={SECRET}y", "entry 2 repeats a key id"),
    ],
)
def test_malformed_keys_are_named_without_their_secret(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse_signing_keys(text)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_does_not_show_its_secret() -> None:
    assert repr(SigningKey("k1", b"s3cret")) == "SigningKey('k1')"
