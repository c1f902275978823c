"""API keys: read from settings, kept as hashes."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.auth.api_keys import ApiKeys, new_key, parse_api_keys


def hashed(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def team_of(keys: ApiKeys, presented: bytes) -> str | None:
    found = keys.find(presented)
    return None if found is None else found.team


def test_plain_and_hashed_keys_open_their_team() -> None:
    keys = parse_api_keys(f"plain=red, {hashed('secret')}=blue ,a=b==green,")
    assert len(keys.teams) == 3
    assert team_of(keys, b"plain") == "red"
    assert team_of(keys, b"secret") == "blue"
    assert team_of(keys, b"a=b=") == "green"


@pytest.mark.parametrize(
    "presented",
    [
        b"",
        b"other",
        b"plain ",
        b"PLAIN",
        b"plain\0",
        b"plain=red",
        hashed("plain").encode(),
        hashlib.sha256(b"plain").digest(),
        b"pl\xc3\xa4in",
        b"\xff",
        b"x" * 513,
        b"x" * 1_000_000,
    ],
)
def test_anything_else_opens_nothing(presented: bytes) -> None:
    text = f"plain=red,{hashed('x' * 513)}=blue,{hashed('pläin')}=green,{hashed('')}=grey"
    assert team_of(parse_api_keys(text), presented) is None


def test_a_key_may_be_of_one_byte() -> None:
    assert team_of(parse_api_keys("x=red"), b"x") == "red"


def test_the_longest_key_is_of_512_bytes() -> None:
    assert team_of(parse_api_keys("x" * 512 + "=red"), b"x" * 512) == "red"


def test_no_keys_open_nothing() -> None:
    assert team_of(ApiKeys({}), b"x") is None
    assert team_of(ApiKeys({bytes(32): "red"}), b"x") is None


def test_plain_keys_are_not_kept() -> None:
    keys = parse_api_keys("s3cret-key=red")
    assert "s3cret-key" not in repr(keys) + repr(vars(keys))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no key"),
        (" , ", "no key"),
        ("s3cret", "entry 1 is not"),
        ("s3cret=", "entry 1 is not"),
        ("=red", "entry 1 is not"),
        ("s3cret=../x", "entry 1 is not"),
        ("s3cret=-x", "entry 1 is not"),
        ("s3cret=a b", "entry 1 is not"),
        ("s3cret=" + "t" * 129, "entry 1 is not"),
        ("s3cret=rédacteurs", "entry 1 is not"),
        ("a=red,,s3cret", "entry 3 is not"),
        ("sha256:s3cret=red", "the hash of entry 1"),
        ("sha256:" + "A" * 64 + "=red", "the hash of entry 1"),
        ("sha256:" + "a" * 63 + "=red", "the hash of entry 1"),
        ("sha256:" + "a" * 65 + "=red", "the hash of entry 1"),
        ("s3cret =red", "the key of entry 1"),
        ("s3 cret=red", "the key of entry 1"),
        ("s3crét=red", "the key of entry 1"),
        ("s3cret" * 86 + "=red", "the key of entry 1"),
        ("s3cret=red,s3cret=blue", "entry 2 repeats a key of another"),
        (f"s3cret=red,{hashed('s3cret')}=blue", "entry 2 repeats a key of another"),
    ],
)
def test_malformed_entries_are_named_by_position(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse_api_keys(text)
    assert "s3c" not in str(caught.value)


def test_only_keys_that_say_so_may_publish() -> None:
    keys = parse_api_keys(f"read=red,write=red:publish,{hashed('hash')}=blue:publish,team:publish=green")
    found = {name: keys.find(name.encode()) for name in ("read", "write", "hash", "team:publish", "other")}
    assert {name: None if one is None else (one.team, one.may_publish) for name, one in found.items()} == {
        "read": ("red", False),
        "write": ("red", True),
        "hash": ("blue", True),
        "team:publish": ("green", False),
        "other": None,
    }
    for text in ("a=:publish", "a=red:write", "a=red:publish:publish", "a=red:", "a=red: publish"):
        with pytest.raises(ValueError, match="entry 1 is not"):
            parse_api_keys(text)


def test_a_key_may_stand_twice_for_one_team() -> None:
    assert parse_api_keys(f"a=red,{hashed('a')}=red").teams == ["red"]


def test_a_new_key_opens_by_its_hashed_form() -> None:
    key, stored = new_key()
    assert re.fullmatch(r"tr_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", key)
    assert f"sha256:{stored}" == hashed(key)
    assert team_of(parse_api_keys(f"sha256:{stored}=red"), key.encode()) == "red"
    assert new_key()[0] != key


@given(st.binary(max_size=600))
def test_no_bytes_raise(presented: bytes) -> None:
    assert team_of(parse_api_keys("=====red=red"), presented) == ("red" if presented == b"=====red" else None)
