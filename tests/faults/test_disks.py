"""Full disks: under the exports, under the results, and under temporary files."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.faults.fault_table import Outcome
from tests.helpers.disks import small_disk
from tests.helpers.folders import files_below
from tests.helpers.server import Server

ROWS = 1_000_000
"""The CSV has 27 MB, the run 2 MB."""
_SMALL = [{"field": "n", "operator": "LESS_THAN", "value": 10}]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    with small_disk(tmp_path) as folder:
        yield folder


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_disk_that_cannot_be_mounted_fails_in_ci_and_skips_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    refused: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess(["mount"], 32)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(outcome, match=r"needs root \(CAP_SYS_ADMIN\)"), small_disk(tmp_path):
        pass


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disks") / "numbers.parquet"
    pq.write_table(pa.table({"n": pa.array(range(ROWS)), "text": [f"row {n} of the run" for n in range(ROWS)]}), path)
    return path


def works(server: Server) -> bool:
    return server.download("numbers", filters=_SMALL).count(b"\n") == 11


def _exports(tmp_path: Path, numbers: Path, disk: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_EXPORTS=str(disk / "exports")) as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        assert works(server)
        before = files_below(disk)
        answer = server.export("numbers")
        assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
        assert str(disk) not in answer.body.decode()
        assert files_below(disk) == before
        assert works(server)


def _results(tmp_path: Path, numbers: Path, disk: Path) -> None:
    # Space for one run and a part of another.
    (disk / "filler").write_bytes(bytes(5_000_000))
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
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr
    assert published
    assert [line.split("\t")[0] for line in server.command("runs", "numbers").stdout.splitlines()[1:]] == published
    assert not [path for path in files_below(disk) if f"run={run}/" in str(path)]
    server.publish("--workflow", "small", "--run", "r2", str(tmp_path / "small.csv"))
    assert server.command("verify").returncode == 0


def _temporary(tmp_path: Path, numbers: Path, disk: Path) -> None:
    full = disk / "filler"
    full.write_bytes(bytes(7_500_000))
    server = Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_SPILL_DIRECTORY=str(disk / "spill"))
    publish = ("publish", "--team", "acme", "--workflow", "numbers", "--run", "r", str(numbers))
    done = server.command(*publish)
    assert done.returncode == 1
    assert "The disk of the spill folder is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "store").rglob("run=*")) == []
    assert files_below(disk) == [full]
    full.unlink()
    server.publish("--workflow", "numbers", "--run", "r", str(numbers))
    with server:
        assert works(server)


FULL: dict[str, tuple[Callable[[Path, Path, Path], None], Outcome]] = {
    "the disk under the exports is full": (
        _exports,
        Outcome("503 `store_unavailable`", "the older files; the next export works"),
    ),
    "the disk under the results is full": (
        _results,
        Outcome("the publisher gets the error", "the earlier runs; the next publish works"),
    ),
    "the disk under a publisher's temporary files is full": (
        _temporary,
        Outcome("the publisher gets the error", "nothing; the same publish works once there is space"),
    ),
}
OUTCOMES = {name: outcome for name, (_, outcome) in FULL.items()}


@pytest.mark.parametrize("name", FULL)
def test_a_full_disk_raises_an_error_and_leaves_nothing(tmp_path: Path, numbers: Path, disk: Path, name: str) -> None:
    fill, _ = FULL[name]
    fill(tmp_path, numbers, disk)
