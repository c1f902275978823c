"""What the page for operators says of backups: which copies can be put back, and how a lost store is replaced."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.forks import TAILRACE, run
from tests.helpers.server import Server

_HEADER = '"id",n,at\n'
_ROWS = _HEADER + "".join(f"row-{n},{n},2026-01-{n % 28 + 1:02}\n" for n in range(500))


def _deployment(location: str, folder: Path, environment: dict[str, str] | None = None) -> Server:
    folder.mkdir(exist_ok=True)
    return Server((location, environment or {}), folder)


def _command(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command that makes no store and no marker."""
    return run(arguments, server.environment, server.folder, program=TAILRACE)


def _publish(server: Server, folder: Path) -> None:
    (folder / "rows.csv").write_text(_ROWS)
    server.publish("--workflow", "w", "--run", "r", "--row-id", "id", str(folder / "rows.csv"))


def _csv(server: Server, folder: Path) -> bytes:
    done = _command(server, "export", "w", "--force", "-o", str(folder / "out.csv"))
    assert done.returncode == 0, done.stderr
    return (folder / "out.csv").read_bytes()


@pytest.mark.parametrize("copy", ["cp -a", "tar --format=posix"])
def test_a_copy_that_keeps_times_can_be_put_back(tmp_path: Path, copy: str) -> None:
    _publish(_deployment(f"{tmp_path}/store", tmp_path / "a"), tmp_path)
    (tmp_path / "back").mkdir()
    command = "cp -a store/. back" if copy == "cp -a" else f"{copy} -C store -cf - . | tar -C back -xf -"
    subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=tmp_path, check=True)
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "back").rename(tmp_path / "store")
    restored = _deployment(f"{tmp_path}/store", tmp_path / "b")
    done = _command(restored, "verify")
    assert (done.returncode, done.stdout.endswith("no problems.\n")) == (0, True), done.stdout
    assert _csv(restored, tmp_path) == _ROWS.encode()


def test_verify_names_files_of_a_copy_that_loses_times(tmp_path: Path) -> None:
    _publish(_deployment(f"{tmp_path}/store", tmp_path / "a"), tmp_path)
    shutil.copytree(tmp_path / "store", tmp_path / "copy", copy_function=shutil.copyfile)
    copied = _deployment(f"{tmp_path}/copy", tmp_path / "b")
    done = _command(copied, "verify")
    assert (done.returncode, "it was rewritten" in done.stderr) == (1, True)
    assert _command(copied, "export", "w", "--force", "-o", str(tmp_path / "out.csv")).returncode == 1


def test_a_run_that_was_kept_as_a_parquet_file_can_be_published_again(
    store_url: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    location, environment = store_url
    first = _deployment(f"{location}/first", tmp_path / "a", environment)
    second = _deployment(f"{location}/second", tmp_path / "b", environment)
    _publish(first, tmp_path)
    file = tmp_path / "w-r.parquet"
    done = first.command("export", "w", "--run", "r", "--format", "parquet", "-o", str(file))
    assert done.returncode == 0, done.stderr
    second.publish("--workflow", "w", "--run", "r", "--row-id", "id", str(file))
    assert _csv(second, tmp_path) == _ROWS.encode()
    done = second.command("export", "w", "--row-ids", "row-7", "-o", str(tmp_path / "one.csv"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.csv").read_text().splitlines()[1].startswith("row-7,")


def test_a_lost_exports_store_is_replaced(tmp_path: Path) -> None:
    server = _deployment(f"{tmp_path}/store", tmp_path / "a")
    _publish(server, tmp_path)
    shutil.rmtree(tmp_path / "store" / "exports")
    assert _command(server, "init", "--replace").returncode == 0
    assert _csv(server, tmp_path) == _ROWS.encode()
