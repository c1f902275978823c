"""Signed URLs: what verify() accepts, and everything that it refuses."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.request.formats import FORMATS
from tests.attack.signed import CURRENT, PREVIOUS, Signed
from tests.attack.signed import TTL as SIGNED_TTL
from tests.attack.tampered import TAMPERED
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


def signed_export(signer: UrlSigner, base: str, end: datetime) -> Signed:
    """The URL of an export as the service gives it out, beside three others."""

    def export(workflow: str, export_id: str) -> dict[str, str]:
        url = signer.sign(workflow, export_id, "csv", end)
        return {"workflowId": workflow, "exportId": export_id, "url": url, "expiresAt": end.isoformat()}

    others = {
        "of the same workflow": export(WORKFLOW, OTHER_EXPORT),
        "of another workflow": export("animals", str(UUID(int=1))),
        "of another team": export("theirs", str(UUID(int=2))),
    }
    return Signed(base, export(WORKFLOW, EXPORT), others)


class _Clock:
    """A clock that can be set."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_tampered_urls_are_refused(subtests: pytest.Subtests) -> None:
    """The table that `tests/attack/test_tampered_urls.py` sends to a service, without a service in between."""
    clock = _Clock()
    # The table signs for another host, too, which is BASE.
    base = "https://tailrace.example"
    ours = UrlSigner([CURRENT, PREVIOUS], base_url=base, max_ttl=SIGNED_TTL, formats=FORMATS, clock=clock)
    url = signed_export(ours, base, NOW + SIGNED_TTL)
    for name, (alter, status) in TAMPERED.items():
        path, _, query = alter(url).partition(b"?")
        with subtests.test(name):
            if status == 200:
                assert ours.verify(path, query).export_id == url.export["exportId"]
                continue
            with pytest.raises(FutureUrl if name == "signed for longer than any URL" else BadSignature) as caught:
                ours.verify(path, query)
            if not isinstance(caught.value, BadSignature):
                continue
            assert (caught.value.message, caught.value.code) == (BadSignature().message, "unauthorized")
            # Once it is over, nothing more is told: what is ill-signed is never told to have expired.
            clock.now = datetime(2286, 1, 1, tzinfo=UTC)
            with pytest.raises(BadSignature):
                ours.verify(path, query)
            clock.now = NOW


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
