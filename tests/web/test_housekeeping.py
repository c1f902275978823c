"""What the service keeps in order by itself: modes of files, a team's quota, what the dead left."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.server import KEY, Server
from tests.web.conftest import publish_people


@pytest.fixture
def open_umask() -> Iterator[None]:
    """What processes of the test inherit: everything that they do not restrict is for everyone."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_new_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    folder.mkdir()
    keys = folder / "secrets" / "keys.jsonl"
    with Server((str(folder / "new" / "store"), {}), folder) as server:
        publish_people(server, folder)
        assert server.command("keys", "new", "--team", "acme", "--file", str(keys)).returncode == 0
        for format_name in ("csv", "json", "parquet"):
            server.download("people", format=format_name, sortBy="name")
        asynchronous = {"x-api-key": KEY, "prefer": "respond-async"}
        assert server.request("/v4/workflows/people/data/export?order=desc", headers=asynchronous).status == 202
        mine = server.command("export", "people", "-o", "mine.csv")
        assert mine.returncode == 0, mine.stderr
    made = [path for top in ("new", "spill", "secrets") for path in (folder / top, *(folder / top).rglob("*"))]
    assert {path.suffix for path in made if path.is_file()} >= {".parquet", ".json", ".csv", ".jsonl"}
    wrong = {
        str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777)
        for path in made
        if path.stat().st_mode & 0o777 != (0o700 if path.is_dir() else 0o600)
    }
    assert wrong == {}
    # The user's own file follows the user's umask.
    assert (folder / "mine.csv").stat().st_mode & 0o777 == 0o666


def test_a_team_above_its_quota_gets_a_clear_429(tmp_path: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_TEAM_EXPORTS_LIMIT="0MB") as server:
        publish_people(server, tmp_path)
        answer = server.export("people")
        body = answer.json()
        assert (answer.status, body["code"], answer.headers["retry-after"]) == (429, "quota_exceeded", "600")
        assert "take 0 of 0 bytes" in body["message"]
        assert body["details"] == {"limit": 0, "used": 0}
        assert answer.headers["cache-control"] == "no-store"
        # Looking at rows makes no file.
        assert server.request("/v4/workflows/people/data", headers={"x-api-key": KEY}).status == 200


def test_the_service_sweeps_by_itself(tmp_path: Path) -> None:
    left = tmp_path / "spill" / "tailrace-spill-dead"
    left.mkdir(parents=True)
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(left, (long_ago, long_ago))
    with Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_SWEEP_SECONDS="1") as server:
        deadline = time.monotonic() + 60
        while left.exists() and time.monotonic() < deadline:
            assert server.request("/healthz").status == 200
        assert not left.exists()
        while not (swept := [line for line in server.logged() if "spill_folders" in line]):
            assert time.monotonic() < deadline
        assert swept[0]["spill_folders"] == 1
