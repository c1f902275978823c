"""A file of keys: looked up by id, good from one moment to another, read anew when it changes."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from web.auth import key_file
from web.auth.api_keys import new_key
from web.auth.key_file import KeyFile, StoredKey, append_key, read_key_file
from web.auth.principal import Principal
from web.telemetry.logs import LOG

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def stored(key: str, **fields: object) -> StoredKey:
    digest = hashlib.sha256(key.encode()).hexdigest()
    values = {"id": key.split("_")[1], "sha256": digest, "team": "red", "created_at": NOW, **fields}
    return StoredKey.model_validate(values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.jsonl"
    path.touch()
    return path


@pytest.fixture
def always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_file, "_POLL_INTERVAL_SECONDS", 0)


def test_keys_open_their_team_and_nothing_else_does(path: Path) -> None:
    (red, _), (blue, _), (unknown, _) = new_key(), new_key(), new_key()
    append_key(path, stored(red))
    append_key(path, stored(blue, team="blue"))
    keys = KeyFile(path)
    assert keys.find(red.encode()) == Principal("red", "key", red.split("_")[1])
    assert keys.find(blue.encode()) == Principal("blue", "key", blue.split("_")[1])
    ill = "tr_" + red.split("_")[1] + "_" + "A" * 43
    digest = hashlib.sha256(red.encode()).hexdigest()
    for wrong in (unknown, ill, red[:-1], red + "x", red.upper(), "", "x" * 10_000, digest, f"sha256:{digest}"):
        assert keys.find(wrong.encode()) is None
    assert keys.find(red.encode() + b"\xff") is None


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        ({}, True),
        ({"expires_at": NOW + SECOND}, True),
        ({"expires_at": NOW}, False),
        ({"expires_at": NOW - SECOND}, False),
        ({"revoked_at": NOW + SECOND}, True),
        ({"revoked_at": NOW}, False),
        ({"expires_at": NOW + SECOND, "revoked_at": NOW - SECOND}, False),
    ],
)
def test_a_key_is_good_from_one_moment_to_another(path: Path, fields: dict[str, datetime], good: bool) -> None:
    key, _ = new_key()
    append_key(path, stored(key, **fields))
    assert (KeyFile(path, clock=lambda: NOW).find(key.encode()) is not None) == good


@pytest.mark.usefixtures("always_looking")
def test_a_change_counts_without_a_restart(path: Path) -> None:
    (old, _), (young, _) = new_key(), new_key()
    append_key(path, stored(old))
    keys = KeyFile(path)
    append_key(path, stored(young))
    assert keys.find(old.encode())
    assert keys.find(young.encode())
    append_key(path, stored(old, revoked_at=NOW))
    assert keys.find(old.encode()) is None
    assert keys.find(young.encode())


def _broken(path: Path) -> None:
    path.write_text("{")


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.usefixtures("always_looking")
@pytest.mark.parametrize("damage", [_broken, _gone])
def test_a_file_that_becomes_unreadable_changes_nothing_and_is_told(
    path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOG, "propagate", True)
    key, _ = new_key()
    append_key(path, stored(key))
    keys = KeyFile(path)
    damage(path)
    assert keys.find(key.encode())
    assert [record.message for record in caplog.records] == ["api_keys_unreadable"]
    path.write_text(stored(key, revoked_at=NOW).model_dump_json(by_alias=True))
    assert keys.find(key.encode()) is None


def test_lines_are_added_whoever_left_the_last_one_open(path: Path) -> None:
    keys = [stored(new_key()[0]) for _ in range(3)]
    path.write_text(keys[0].model_dump_json(by_alias=True))
    append_key(path, keys[1])
    append_key(path, keys[2])
    assert list(read_key_file(path).values()) == keys


def test_a_file_that_is_made_is_private(tmp_path: Path) -> None:
    append_key(tmp_path / "new" / "keys.jsonl", stored(new_key()[0]))
    assert (tmp_path / "new" / "keys.jsonl").stat().st_mode & 0o777 == 0o600


_LINE = stored("tr_00000001_x").model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tr_00000001_secret", "the line"),
        ("[]", "the line"),
        (_LINE | {"id": "../x"}, "id"),
        (_LINE | {"sha256": "0" * 63}, "sha256"),
        (_LINE | {"team": "a b"}, "team"),
        (_LINE | {"team": "red\n"}, "team"),
        (_LINE | {"createdAt": "2026-11-01T00:00:00"}, "createdAt"),
        (_LINE | {"expiresAt": "soon"}, "expiresAt"),
        (_LINE | {"expires": "2026-11-01T00:00:00Z"}, "expires"),
        ({name: value for name, value in _LINE.items() if name != "team"}, "team"),
    ],
)
def test_a_line_that_is_wrong_is_told_by_its_place(path: Path, line: object, told: str) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_text(f"\n{text}\n")
    with pytest.raises(ValueError, match=f"line 2 of keys.jsonl: {told}: ") as caught:
        KeyFile(path)
    assert "secret" not in str(caught.value)
    assert "0" * 63 not in str(caught.value)
