"""``tailrace export`` as an operator runs it: a process of its own, on either store."""

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.stores import ObjectStore, open_store
from tests.helpers.engine import Engine
from tests.helpers.forks import TAILRACE, Forked, run, run_bytes, start
from tests.helpers.server import TEAM, Server
from tests.helpers.stores import any_store
from tests.web.conftest import publish_people

ROWS = 600_000


@pytest.fixture(scope="module")
def service(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running service with a small workflow, and one whose sorted export takes its time."""
    folder = tmp_path_factory.mktemp("service")
    with Server(module_store_url, folder, TAILRACE_THREADS="1") as server:
        publish_people(server, folder)
        store = _store(server, "results")
        engine = Engine(folder / "engine", store)
        rows = pl.select(n=pl.int_range(ROWS)).with_columns(
            word=(pl.col("n") * 7919 % 1_000_003).cast(pl.String) + "-" + "x" * 40
        )
        engine.publish(engine.write_parquet(rows.to_arrow()), workflow="large", team=TEAM)
        yield server


def _store(server: Server, name: str) -> ObjectStore:
    connection = server.environment.get("AZURE_STORAGE_CONNECTION_STRING")
    return open_store(server.environment[f"TAILRACE_{name.upper()}"], connection_string=connection)


def _run(server: Server, *arguments: str, program: str = TAILRACE) -> "subprocess.CompletedProcess[bytes]":
    return run_bytes(["export", *arguments], server.environment, server.folder, program=program)


def _start(server: Server, *arguments: str, stdout: int | None = None, stderr: int = subprocess.PIPE) -> Forked:
    environment = {**server.environment, "COLUMNS": "100"}
    return start(["export", *arguments], environment, server.folder, stdout=stdout, stderr=stderr)


@any_store
@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ([], {}),
        (["--format", "json"], {"format": "json"}),
        (["--format", "parquet"], {"format": "parquet"}),
        (["--format", "parquet", "--sort-by", "age"], {"format": "parquet", "sortBy": "age"}),
        (["--sort-by", "age", "--desc", "--include-row-ids"],
         {"sortBy": "age", "order": "desc", "includeRowIds": "true"}),
        (["--filter", "age greater_than 10"], {"filters": [{"field": "age", "operator": "GREATER_THAN", "value": 10}]}),
        (["--filter", "name CONTAINS 100"], {"filters": [{"field": "name", "operator": "CONTAINS", "value": "100"}]}),
        (["--filter", 'tags CONTAINS "B"'], {"filters": [{"field": "tags", "operator": "CONTAINS", "value": "B"}]}),
        (["--filter", "home.zip EQUALS 0123"],
         {"filters": [{"field": "home.zip", "operator": "EQUALS", "value": "0123"}]}),
        (["--filter", 'name IN ["Ann","Bob"]', "--filters", '[{"field":"city","operator":"IS_NULL"}]'],
         {"filters": [{"field": "city", "operator": "IS_NULL"},
                      {"field": "name", "operator": "IN", "value": ["Ann", "Bob"]}]}),
        (["--row-ids", "000000000000,000000000002"], {"rowIds": "000000000000,000000000002"}),
        (["--row-ids", '["000000000001"]', "--run", "r1"], {"rowIds": '["000000000001"]', "runId": "r1"}),
        (["--fields", "home.zip , name", "--format", "jsonl"], {"fields": "home.zip,name", "format": "jsonl"}),
        (["--fields", '["age"]', "--compression", "zstd"], {"fields": "age", "compression": "zstd"}),
        (["--flatten", "--compression", "gzip"], {"flatten": "true", "compression": "gzip"}),
        (["--bom", "--delimiter", "semicolon", "--formula-guard"],
         {"bom": "true", "delimiter": "semicolon", "formulaGuard": "true"}),
    ],
)  # fmt: skip
def test_the_file_is_what_the_service_gives(
    service: Server, tmp_path: Path, options: list[str], parameters: dict[str, Any]
) -> None:
    target = tmp_path / "people"
    done = service.command("export", "people", *options, "-o", str(target))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert target.read_bytes() == service.download("people", **parameters)
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_a_pipe_gets_the_same_bytes(service: Server, format_name: str) -> None:
    piped = _run(service, "people", "--format", format_name, "--quiet")
    whole = service.download("people", format=format_name)
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, whole, b"")


@any_store
@pytest.mark.parametrize(
    ("arguments", "format_name"),
    {
        "csv": (["-o", "a.csv"], "csv"),
        "json": (["-o", "a.JSON"], "json"),
        "parquet": (["-o", "a.parquet"], "parquet"),
        "the same twice": (["-o", "a.parquet", "--format", "parquet"], "parquet"),
        "no format in the name": (["-o", "a"], "csv"),
        "an unknown one in the name": (["-o", "a.txt", "--format", "json"], "json"),
    }.values(),
)
def test_the_name_of_the_file_decides_its_format(
    service: Server, tmp_path: Path, arguments: list[str], format_name: str
) -> None:
    target = tmp_path / arguments[1]
    done = _run(service, "people", "-o", str(target), *arguments[2:])
    assert (done.returncode, target.read_bytes()) == (0, service.download("people", format=format_name))


@any_store
def test_a_format_that_contradicts_the_name_is_refused(service: Server, tmp_path: Path) -> None:
    for given in ("csv", "json"):
        done = _run(service, "people", "-o", str(tmp_path / "a.parquet"), "--format", given)
        assert done.returncode == 2
        assert f"--format {given} contradicts the name a.parquet" in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


@any_store
def test_the_summary(service: Server, tmp_path: Path) -> None:
    done = service.command("export", "people", "--format", "json", "-o", str(tmp_path / "a.json"))
    said = done.stderr
    assert said.startswith(f"people/r1: 3 rows, {(tmp_path / 'a.json').stat().st_size} bytes of json to ")
    made = service.export("people", format="json").json()["exportId"]
    assert f"(export {made})." in said


@any_store
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("a.csv.gz", {"compression": "gzip"}),
        ("a.JSONL.GZ", {"format": "jsonl", "compression": "gzip"}),
        ("a.json.zst", {"format": "json", "compression": "zstd"}),
        ("a.gz", {"compression": "gzip"}),
        ("a.xlsx", {"format": "xlsx"}),
    ],
)
def test_the_name_decides_format_and_compression(
    service: Server, tmp_path: Path, name: str, parameters: dict[str, Any]
) -> None:
    done = service.command("export", "people", "-o", str(tmp_path / name))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name).read_bytes() == service.download("people", **parameters)


@any_store
def test_a_file_that_is_there_stays(service: Server, tmp_path: Path) -> None:
    target, link = tmp_path / "a.csv", tmp_path / "link.csv"
    target.write_text("mine")
    target.chmod(0o600)
    link.symlink_to(target)
    refused = _run(service, "people", "-o", str(target))
    assert (refused.returncode, target.read_text()) == (1, "mine")
    assert (
        refused.stderr.decode() == f"tailrace: {target} exists already: use another name, or --force to replace it.\n"
    )
    assert _run(service, "people", "-o", str(link), "--force").returncode == 0
    assert target.read_bytes() == service.download("people")
    assert (link.is_symlink(), target.stat().st_mode & 0o777) == (True, 0o600)


@any_store
@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["nope"], 1, "There is no workflow nope"),
        (["unfinished"], 1, "There is no such workflow or finished run"),
        (["people", "--run", "r2"], 1, "There is no such workflow or finished run"),
        (["people", "--team", "rival"], 1, "There is no such workflow or finished run"),
        (["people", "--filter", "nope EQUALS 1"], 1, "--filter 'nope EQUALS 1': there is no field 'nope'"),
        (["people", "--filter", "age EQUALS abc"], 1, "--filter 'age EQUALS abc': the value cannot be read for age"),
        (["people", "--sort-by", "tags"], 1, "sortBy: tags (ARRAY, VARCHAR[]) cannot be sorted"),
        (["people", "-o", "no/such/file"], 1, "there is no directory no/such"),
        (["people", "-o", "/dev/null", "--force"], 1, "not a regular file"),
        (["people", "--filter", "age"], 2, "'age' is not FIELD OPERATOR [VALUE]"),
        (["people", "--filter", "age > 3"], 2, "did you mean GREATER_THAN?"),
        (["people", "--filter", "age GREATER 3"], 2, "did you mean GREATER_THAN?"),
        (["people", "--filter", "age is_null 3"], 2, "--filter 'age is_null 3': IS_NULL takes no value"),
        (["people", "--filter", "age EQUALS"], 2, "EQUALS needs a value"),
        (["people", "--filters", "[{"], 2, "not JSON"),
        (["people", "--filters", "{}"], 2, "it must be a JSON array such as"),
        (["people", "--row-ids", ""], 2, "rowIds is empty"),
        (["people", "--row-ids", "a,,b"], 2, "rowIds[1] must be a non-empty string"),
        (["people", "--fields", "nmae"], 1, "fields[0]: there is no field 'nmae'. Fields: name, age"),
        (["people", "--row-ids", "[1"], 2, "not JSON"),
        (["people", "--fields", "name,name"], 2, "fields[1]: 'name' is fields[0] already"),
        (["people", "-o", "a.csv.gz", "--compression", "zstd"], 2, "--compression zstd contradicts the name a.csv.gz"),
        (["people", "-o", "a.csv.gz", "--format", "json"], 2, "--format json contradicts the name a.csv.gz"),
        (["people", "-o", "a.parquet.gz"], 2, "compression=gzip is for csv, json, jsonl"),
        (["people", "-o", "a.xlsx.gz"], 2, "xlsx is compressed already"),
        (["people", "-o", "a.xlsx", "--bom"], 2, "are for CSV"),
        (["people", "--format", "json", "--bom"], 2, "are for CSV"),
        (["people", "--format", "xml"], 2, "xml"),
        (["people", "--desc"], 2, "--desc needs --sort-by"),
        (["people", "--filter", "name EQUALS \udcff"], 2, "An argument is not UTF-8"),
        ([], 2, "WORKFLOW"),
    ],
)
def test_refusals(service: Server, arguments: list[str], code: int, reason: str) -> None:
    done = service.command("export", *arguments)
    said = done.stderr
    assert (done.returncode, done.stdout) == (code, ""), said
    assert reason in said
    assert "Traceback" not in said
    if code == 1:
        assert len(said.splitlines()) == 1
        assert said.startswith("tailrace: ")


@any_store
def test_a_missing_store_is_one_line(service: Server) -> None:
    (service.folder / "occupied").write_text("")
    environment = {**service.environment, "TAILRACE_EXPORTS": str(service.folder / "occupied")}
    done = run(["export", "people"], environment, service.folder)
    assert done.returncode == 1
    assert done.stderr == "tailrace: The storage directory is not a directory: use another path.\n"


def test_a_full_disk_leaves_nothing(service: Server, tmp_path: Path) -> None:
    # The command writes nothing but its own copy, since the export is finished.
    service.download("large")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    done = _run(service, "large", "-o", str(tmp_path / "large.csv"), program=limit + TAILRACE)
    assert done.returncode == 1
    assert done.stderr.decode().endswith("large.csv cannot be written: File too large.\n")
    assert list(tmp_path.iterdir()) == []


@any_store
def test_changed_bytes_are_told(service: Server, tmp_path: Path) -> None:
    made = service.export("people", sortBy="name").json()
    path = Path(service.environment["TAILRACE_EXPORTS"]) / "people" / f"{made['exportId']}.csv"
    path.write_bytes(path.read_bytes()[::-1])
    done = _run(service, "people", "--sort-by", "name", "-o", str(tmp_path / "a.csv"))
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr.decode() == "tailrace: The downloaded bytes differ from the export: try again.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_leaves_nothing(service: Server, tmp_path: Path, number: signal.Signals) -> None:
    exports, spill = _store(service, "exports"), Path(service.environment["TAILRACE_SPILL_DIRECTORY"])
    before = {info.key for info in exports.list("")}
    with _start(service, "large", "--sort-by", "word", "--desc", "-o", str(tmp_path / "large.csv")) as process:
        _wait(lambda: spill.is_dir() and any(spill.iterdir()))
        process.send_signal(number)
        assert process.wait(30) == 130
        assert process.stderr.read() == b"\ntailrace: interrupted.\n"
    assert list(tmp_path.iterdir()) == []
    assert {info.key for info in exports.list("")} == before
    assert list(spill.iterdir()) == []
    if "://" not in service.environment["TAILRACE_EXPORTS"]:
        assert list((Path(service.environment["TAILRACE_EXPORTS"]) / ".staging").iterdir()) == []


@any_store
def test_ctrl_c_while_nobody_reads(service: Server) -> None:
    service.download("large")
    with _start(service, "large", stdout=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


@any_store
def test_a_reader_that_leaves(service: Server) -> None:
    with _start(service, "large", stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 1)


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _at_terminal(server: Server, *arguments: str) -> tuple[int, str]:
    """Run an export whose standard error is a terminal of 100 columns; what that terminal got."""
    outer, inner = pty.openpty()
    with Path(os.devnull).open("wb") as nothing:
        process = _start(server, *arguments, stdout=nothing.fileno(), stderr=inner)
    os.close(inner)
    seen = b""
    while True:
        try:
            if select.select([outer], [], [], 30)[0]:
                seen += (piece := os.read(outer, 65536))
                if not piece:
                    break
        except OSError:
            break
    os.close(outer)
    return process.wait(30), seen.decode()


@any_store
def test_a_progress_bar_at_a_terminal(service: Server, tmp_path: Path) -> None:
    code, seen = _at_terminal(service, "large", "--include-row-ids", "-o", str(tmp_path / "large.csv"))
    assert code == 0
    drawn = seen.split("\r")
    assert any(line.startswith("running  [") and "% " in line and " rows  " in line for line in drawn)
    assert any(line.startswith("saving  [") and f"{ROWS:,} rows" in line for line in drawn)
    # The last bar is wiped out before the summary.
    assert drawn[-3].strip() == ""
    assert drawn[-2].startswith(f"large/r: {ROWS:,} rows, ")
    assert max(map(len, drawn)) < 200
    code, seen = _at_terminal(service, "large", "--filter", "n GREATER_THAN 3", "--sort-by", "word", "-o", "-")
    assert (code, "running  0 rows  0 B" in seen, "running  [" in seen) == (0, True, False)
    assert _at_terminal(service, "people", "--quiet") == (0, "")


@any_store
def test_parquet_is_not_for_a_terminal(service: Server) -> None:
    outer, inner = pty.openpty()
    try:
        with _start(service, "people", "--format", "parquet", stdout=inner) as process:
            assert b"Parquet cannot be printed to a terminal" in process.stderr.read()
            assert process.wait(30) == 2
    finally:
        os.close(inner)
        os.close(outer)
