"""``tailrace publish`` and ``tailrace delete``: what they say, and a Ctrl-C at any moment."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.bootstrap import initialise
from engine.settings import StorageSettings
from engine.stores import open_store
from engine.stores.marker import MARKER_KEYS
from tests.helpers.forks import run, start
from tests.helpers.server import KEY, TEAM, Server
from web.cli.terminal.progress_bar import counted, line

ROOT = Path(__file__).parents[2]
INTERRUPTED = "\ntailrace: interrupted.\n"

AT_IMPORT = """
import os, signal, sys

class Interrupting:
    left = int(sys.argv.pop(1))

    def find_spec(self, name, path=None, target=None):
        Interrupting.left -= 1
        if Interrupting.left == 0:
            os.kill(os.getpid(), signal.SIGINT)

from web.cli import main
sys.meta_path.insert(0, Interrupting())
main()
"""
"""The command, which is interrupted at its n-th import."""

AT_STORE = """
import os, signal, sys

left = int(sys.argv.pop(1))

def interrupting(function):
    def call(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*arguments, **named)
    return call

from engine.stores.local.store import DirectoryStore
for name in ("head", "read", "create", "replace", "begin"):
    setattr(DirectoryStore, name, interrupting(getattr(DirectoryStore, name)))
from web.cli import main
main()
"""
"""The same at the n-th use of the store."""


def publish(program: str, moment: int, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    folder.mkdir(exist_ok=True)
    (folder / "rows.csv").write_text("a,b\n1,x\n2,y\n")
    initialise_stores(folder)
    arguments = [str(moment), "publish", "--workflow", "w", "--run", "r", "rows.csv", *more]
    if program is AT_STORE:
        return run(arguments, environment(folder), folder, program=program)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TAILRACE_RESULTS": str(folder / "results"),
        "TAILRACE_EXPORTS": str(folder / "exports"),
        "TAILRACE_SPILL_DIRECTORY": str(folder / "spill"),
    }


def initialise_stores(folder: Path) -> None:
    """Write the markers beforehand: `publish` reports on standard error when it writes them."""
    initialise(StorageSettings(results=str(folder / "results"), exports=str(folder / "exports")))


def keys(folder: Path) -> list[str]:
    """The objects in the results store, except its marker."""
    stored = [info.key for info in open_store(str(folder / "results")).list("")]
    return [key for key in stored if key != MARKER_KEYS["results"]]


@pytest.mark.parametrize("program", [AT_IMPORT, AT_STORE], ids=["import", "store"])
def test_ctrl_c_at_any_moment_is_one_line_and_leaves_nothing(tmp_path: Path, program: str) -> None:
    moments = [1, 30, 300, 900, 5000] if program is AT_IMPORT else [*range(1, 9), 5000]
    folders = [tmp_path / str(moment) for moment in moments]
    with ThreadPoolExecutor(2) as pool:
        found = [*pool.map(lambda moment: publish(program, moment, tmp_path / str(moment), "-q"), moments)]
    for moment, folder, done in zip(moments, folders, found, strict=True):
        if done.returncode == 0:
            assert done.stderr == "", moment
            assert len(keys(folder)) == 3
        else:
            assert (done.returncode, done.stderr, done.stdout) == (130, INTERRUPTED, ""), moment
            assert keys(folder) == []
        assert [*(folder / "spill").glob("*")] == []
    codes = [done.returncode for done in found]
    assert codes[0] == 130
    assert codes[-1] == 0, "the moments cover a whole publication"
    assert codes == sorted(codes, reverse=True), codes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_a_file_is_read_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with (tmp_path / "rows.csv").open("w") as file:
        file.write("a,b\n")
        for _ in range(20):
            file.write("1,some text that is here to be read\n" * 100_000)
    initialise_stores(tmp_path)
    command = ["publish", "--workflow", "w", "--run", "r", "rows.csv"]
    with start(command, environment(tmp_path), tmp_path, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline().startswith(b"reading  [")
        process.send_signal(number)
        rest = process.stderr.read().decode()
    assert (process.returncode, rest.endswith(INTERRUPTED), "Traceback" in rest) == (130, True, False), rest
    assert keys(tmp_path) == []
    assert [*(tmp_path / "spill").glob("*")] == []


def test_the_answer_says_what_was_published_and_what_comes_next(tmp_path: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    (tmp_path / "rows.json").write_text('[{"id": "a", "price": {"amount": 1}}, {"id": "b", "price": null}]')
    (tmp_path / "one.json").write_text('[{"id": "a"}]')
    done = server.command("publish", "--workflow", "w", "--run", "r", "--team", "acme", "rows.json")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Published w/r of team acme: 2 rows, 2 columns, 1 part, ")
    assert lines[1:] == [
        "  id     STRING (VARCHAR)",
        '  price  OBJECT (STRUCT("amount" BIGINT))',
        "Next: tailrace export w --run r -o w.csv",
    ]
    # The progress in a pipe is lines; what takes no time has none.
    assert {line.split()[0] for line in done.stderr.splitlines()} <= {"reading", "uploading"}
    assert server.command(*lines[-1].split()[2:]).returncode == 0
    assert (tmp_path / "w.csv").read_text().startswith('"id","price"\n')
    failed = server.command("publish", "--workflow", "w", "--run", "f", "--team", "acme", "--state", "FAILED", "-q", "one.json")  # fmt: skip  # noqa: E501
    assert "1 row, 1 column, 1 part" in failed.stdout
    assert "Next: tailrace runs w" in failed.stdout
    assert failed.stderr == ""


@pytest.mark.parametrize("asked", ["option", "setting"])
def test_a_run_is_exported_as_soon_as_it_is_published(tmp_path: Path, asked: str) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    (tmp_path / "rows.json").write_text('[{"id": "a"}, {"id": "b"}]')
    if asked == "setting":
        server.environment["TAILRACE_PREPARE_FORMATS"] = "csv,json"
    options = ["--prepare", "csv,json,csv"] if asked == "option" else []
    done = server.command("publish", "--workflow", "w", "--run", "r", "--team", TEAM, *options, "rows.json")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["Prepared csv: 9 bytes.", "Prepared json: 28 bytes."]
    files = {path.suffix: path for path in (tmp_path / "store" / "exports" / "w").iterdir()}
    assert files[".csv"].read_text() == '"id"\na\nb\n'
    with server:
        answer = server.request("/v4/workflows/w/data/export", headers={"x-api-key": KEY}).json()
    # The request has found this file, and made no other.
    assert answer["exportId"] == files[".csv"].stem
    assert len([*files[".csv"].parent.iterdir()]) == 2


def test_publishing_again_prepares_what_is_missing(tmp_path: Path) -> None:
    """A command that was killed after its run was published, and before all of its exports were made, is repeated."""
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    (tmp_path / "rows.json").write_text('[{"id": "a"}, {"id": "b"}]')
    publish = ("publish", "--workflow", "w", "--run", "r", "--team", TEAM, "rows.json", "--prepare")
    assert server.command(*publish, "csv").returncode == 0
    again = server.command(*publish, "csv,json")
    assert again.stdout.splitlines() == ["Prepared csv before: 9 bytes.", "Prepared json: 28 bytes."]
    # The files of this command are not what was published, for all it knows.
    assert again.returncode == 1
    assert "The run r is published already" in again.stderr
    files = {path.suffix: path.read_text() for path in (tmp_path / "store" / "exports" / "w").iterdir()}
    assert files == {".csv": '"id"\na\nb\n', ".json": '[\n\t{"id":"a"},\n\t{"id":"b"}\n]'}


def test_an_export_that_cannot_be_prepared_is_reported(tmp_path: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    (tmp_path / "rows.json").write_text('[{"id": "a"}]')
    publish = ("publish", "--workflow", "w", "--team", TEAM, "--prepare")
    refused = server.command(*publish, "csv,xml", "--run", "r", "rows.json")
    assert refused.returncode == 2
    assert "--prepare csv,xml: give one or more of csv, json," in refused.stderr
    server.environment["TAILRACE_PREPARE_FORMATS"] = "csv, json"
    wrong = server.command(*publish[:-1], "--run", "r", "rows.json")
    assert wrong.returncode == 1
    assert "TAILRACE_PREPARE_FORMATS is invalid: give one or more of csv, json, jsonl, xlsx, parquet," in wrong.stderr
    del server.environment["TAILRACE_PREPARE_FORMATS"]
    none = server.command("runs", "w")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr == "tailrace: There is no workflow w: `tailrace runs` lists the published ones.\n"
    unfinished = server.command(*publish, "csv", "--run", "r", "--state", "FAILED", "rows.json")
    assert (unfinished.returncode, "Prepared" in unfinished.stdout) == (0, False)
    (tmp_path / "store" / "exports" / "w").write_text("no folder")
    failed = server.command(*publish, "csv", "--run", "s", "rows.json")
    assert failed.returncode == 1
    assert failed.stdout.startswith("Published w/s")
    assert "The run is published, but not exported as csv: " in failed.stderr


def test_words_have_singulars() -> None:
    assert [counted(number, "part") for number in (0, 1, 2, 1234)] == ["0 parts", "1 part", "2 parts", "1,234 parts"]
    assert line("reading", None, 50, 0, None, 200) == "reading  [#####---------------]  25%  50 B of 200 B"
    assert line("saving", 1, 50, 0, None) == "saving  1 row  50 B"


def test_a_run_and_a_workflow_are_deleted(tmp_path: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    (tmp_path / "rows.csv").write_text("a\n1\n")
    for run_id in ("r1", "r2"):
        server.publish("--workflow", "w", "--run", run_id, "rows.csv")
    with server:
        url = server.export("w", runId="r2").json()["url"]
        refused = server.command("delete", "w", "r2")
        assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
        assert "deletes 2 runs of w and all exports" in server.command("delete", "w").stderr
        assert server.request(url).status == 200
        done = server.command("delete", "w", "r2", "--yes")
        assert (done.returncode, done.stdout) == (0, "Deleted 1 run of w and 1 export.\n")
        assert server.request(url).status == 404
        assert server.export("w").json()["runId"] == "r1"
        again = server.command("delete", "w", "r2", "--yes")
        assert (again.returncode, "There is no run r2" in again.stderr) == (1, True)
        done = server.command("delete", "w", "--yes")
        assert (done.returncode, done.stdout) == (0, "Deleted 1 run of w and 1 export.\n")
        assert server.request("/v4/workflows/w", headers={"x-api-key": KEY}).status == 404
    left = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
    markers = [*MARKER_KEYS.values(), *(f"{key}.json" for key in MARKER_KEYS.values())]
    assert sorted(name for name in left if not name.startswith(".")) == sorted(markers)
