"""Keys are rotated as the page for operators says, replica after replica: no link, key or token fails meanwhile.

The signing keys and the secrets of tokens are changed by the same restarts; the file of API keys needs none.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.helpers.forks import TAILRACE, run
from tests.helpers.running import wait_for
from tests.helpers.server import KEY
from tests.replicas.replica import Replica, opened

LONG = os.environ.get("TAILRACE_REPLICAS") == "long"
ORDERS = ((0, 1), (1, 0)) if LONG else ((0, 1),)
"""In which order the replicas are restarted."""
_OLD, _NEW = "old=0123456789abcdef0123456789abcdef", "new=fedcba9876543210fedcba9876543210"
_OLD_SECRET, _NEW_SECRET = "secret-before-0123456789abcdef0123", "secret-afterwards-0123456789abcdef"
_SECONDS = 30


def _token(secret: str) -> str:
    now = int(time.time())
    claims = {"team": "acme", "sub": "somebody", "iat": now, "exp": now + 600}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))


@dataclass(frozen=True)
class Pair:
    """Two replicas on one store, with the same keys."""

    replicas: Sequence[Replica]
    keys: Path

    def restart(self, number: int, **settings: str) -> None:
        """Restart one replica with other settings."""
        replica = self.replicas[number]
        replica.__exit__(None, None, None)
        replica.environment |= settings
        replica.start()

    def link(self, number: int) -> str:
        """A link that one replica signs."""
        answer = self.replicas[number].export("w")
        assert answer.status == 200, answer.body
        return str(answer.json()["url"])

    def statuses(self, url: str) -> list[int]:
        """What each replica answers to a link."""
        return [opened(replica, url).status for replica in self.replicas]

    def status_of_token(self, token: str) -> list[int]:
        """What each replica answers to a token."""
        headers = {"authorization": f"Bearer {token}"}
        return [replica.request("/v4/workflows", headers=headers).status for replica in self.replicas]

    def status_of_key(self, key: str) -> list[int]:
        """What each replica answers to an API key."""
        return [replica.request("/v4/workflows", headers={"x-api-key": key}).status for replica in self.replicas]

    def command(self, *arguments: str) -> str:
        """What a ``tailrace`` command prints."""
        done = run(arguments, self.replicas[0].environment, self.replicas[0].folder, program=TAILRACE)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    keys = tmp_path / "keys.jsonl"
    settings = {"TAILRACE_SIGNING_KEYS": _OLD, "TAILRACE_JWT_SECRET": _OLD_SECRET, "TAILRACE_API_KEYS_FILE": str(keys)}
    store: tuple[str, dict[str, str]] = (str(tmp_path / "store"), {})
    replicas = [Replica(store, tmp_path / name) for name in ("a", "b")]
    for replica in replicas:
        replica.environment |= settings
    (tmp_path / "rows.csv").write_text("n\n1\n2\n")
    replicas[0].publish("--workflow", "w", "--run", "r", str(tmp_path / "rows.csv"))
    pair = Pair(replicas, keys)
    pair.command("keys", "new", "--team", "acme")
    with replicas[0], replicas[1]:
        yield pair


@pytest.mark.parametrize("order", ORDERS, ids=["a first", "b first"][: len(ORDERS)])
def test_signing_keys_and_secrets_are_rotated_in_three_steps(pair: Pair, order: Sequence[int]) -> None:
    before = pair.link(0)
    old, new = _token(_OLD_SECRET), _token(_NEW_SECRET)
    steps = (
        {"TAILRACE_SIGNING_KEYS": f"{_OLD},{_NEW}", "TAILRACE_JWT_SECRET": f"{_OLD_SECRET},{_NEW_SECRET}"},
        {"TAILRACE_SIGNING_KEYS": f"{_NEW},{_OLD}", "TAILRACE_JWT_SECRET": f"{_NEW_SECRET},{_OLD_SECRET}"},
    )
    for settings in steps:
        for number in order:
            pair.restart(number, **settings)
            for url in (before, pair.link(0), pair.link(1)):
                assert pair.statuses(url) == [200, 200]
            assert pair.status_of_token(old) == [200, 200]
        # From the end of the first step on, the issuer may use the new secret.
        assert pair.status_of_token(new) == [200, 200]
    after = pair.link(0)
    assert "kid=new" in after
    for number in order:
        pair.restart(number, TAILRACE_SIGNING_KEYS=_NEW, TAILRACE_JWT_SECRET=_NEW_SECRET)
        for url in (after, pair.link(0), pair.link(1)):
            assert pair.statuses(url) == [200, 200]
        assert pair.status_of_token(new) == [200, 200]
    assert (pair.statuses(before), pair.status_of_token(old)) == ([401, 401], [401, 401])


def test_a_key_that_signs_before_all_have_it_makes_links_that_the_others_refuse(pair: Pair) -> None:
    """Why the first step puts it in second place."""
    pair.restart(0, TAILRACE_SIGNING_KEYS=f"{_NEW},{_OLD}")
    assert pair.statuses(pair.link(0)) == [200, 401]
    assert pair.statuses(pair.link(1)) == [200, 200]


def test_api_keys_are_made_and_revoked_without_a_restart(pair: Pair) -> None:
    (old,) = pair.keys.read_text().splitlines()
    made = pair.command("keys", "new", "--team", "acme").split()
    key = next(word for word in made if word.startswith("tr_"))
    wait_for(lambda: pair.status_of_key(key) == [200, 200], _SECONDS)
    pair.command("keys", "revoke", key.split("_")[1])
    wait_for(lambda: pair.status_of_key(key) == [401, 401], _SECONDS)
    # The others are as before.
    assert old in pair.keys.read_text()
    assert pair.status_of_key(KEY) == [200, 200]
