"""Faults of the process and its disks: a stop with and without grace, and disks that are full."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROWS, numbers
from tests.helpers.server import Answer, Server

__all__ = ["numbers"]

_SMALL = [{"field": "n", "operator": "LESS_THAN", "value": 10}]
_SLOW = {"sortBy": "text", "order": "desc", "format": "json"}
_ONE = {"TAILRACE_THREADS": "1"}
"""By one thread a sort takes its time."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk of its own needs the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def asked(server: Server, **parameters: str) -> tuple[threading.Thread, list[Answer | OSError]]:
    """A request on its way, and what will have come of it."""
    came: list[Answer | OSError] = []

    def ask() -> None:
        try:
            came.append(server.export("numbers", **parameters))
        except OSError as error:
            came.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, came


def stopped_while_exporting(server: Server, numbers: Path) -> Answer:
    """What an export answers whose server is told to stop in the middle of it."""
    server.publish("--workflow", "numbers", "--run", "r", str(numbers))
    thread, came = asked(server, **_SLOW)
    time.sleep(0.3)
    assert thread.is_alive()
    server.stop(signal.SIGTERM)
    thread.join()
    (answer,) = came
    assert isinstance(answer, Answer)
    return answer


def works(server: Server) -> bool:
    return server.download("numbers", filters=_SMALL).count(b"\n") == 11


def test_a_stop_lets_a_running_export_end(tmp_path: Path, numbers: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_GRACE_SECONDS="60", **_ONE) as server:
        answer = stopped_while_exporting(server, numbers)
        assert (answer.status, answer.json()["rowCount"]) == (200, ROWS)
        server.start()
        assert server.request(answer.json()["url"]).status == 200


def test_a_stop_without_grace_ends_it_with_a_reason(tmp_path: Path, numbers: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_GRACE_SECONDS="0", **_ONE) as server:
        answer = stopped_while_exporting(server, numbers)
        assert (answer.status, answer.json()["code"]) == (503, "cancelled")
        assert files(tmp_path / "store" / "exports") == []
        assert files(tmp_path / "spill") == []
        server.start()
        assert works(server)


def test_a_full_disk_under_the_exports(tmp_path: Path, numbers: Path, disk: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_EXPORTS=str(disk / "exports")) as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        assert works(server)
        before = files(disk)
        answer = server.export("numbers")
        assert answer.status in (500, 503)
        assert str(disk) not in answer.body.decode()
        assert files(disk) == before
        assert works(server)


def test_a_full_disk_under_the_results(tmp_path: Path, numbers: Path, disk: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_RESULTS=str(disk / "results"))
    (tmp_path / "small.csv").write_text("n\n1\n")
    server.publish("--workflow", "small", "--run", "r", str(tmp_path / "small.csv"))
    published: list[str] = []
    while True:
        run = f"r{len(published)}"
        done = server.command("publish", "--team", "acme", "--workflow", "numbers", "--run", run, str(numbers))
        if done.returncode:
            break
        published.append(run)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [line.split("\t")[0] for line in server.command("runs", "numbers").stdout.splitlines()[1:]] == published
    assert not [path for path in files(disk) if f"run={run}/" in str(path)]
    server.publish("--workflow", "small", "--run", "r2", str(tmp_path / "small.csv"))
    assert server.command("verify").returncode == 0
