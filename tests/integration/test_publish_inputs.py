"""Files as people have them: compressed, in folders, by pattern, from a pipe, under any name."""

import bz2
import gzip
import io
import json
import lzma
import os
import random
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, InvalidInput
from engine.publishing.input_files import matching, spool
from engine.publishing.options import ReadOptions
from engine.publishing.publisher import Publication
from tests.helpers.engine import Engine
from tests.helpers.forks import TAILRACE, run_bytes

ROWS: list[dict[str, Any]] = [{"a": "x", "n": 1}, {"a": "é", "n": 2}]
CSV = "a,n\nx,1\né,2\n"
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "engine")


def parquet() -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), file)
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


FILES = {
    "rows.csv.gz": gzip.compress(CSV.encode()),
    "rows.CSV.GZ": gzip.compress(CSV.encode()),
    "rows.tsv": CSV.replace(",", "\t").encode(),
    "rows.tsv.zst": zstd(CSV.replace(",", "\t").encode()),
    "rows.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "rows.ndjson.gz": gzip.compress(LINES[:20].encode()) + gzip.compress(LINES[20:].encode()),
    "rows.jsonl.zst": zstd(LINES.encode()),
    "rows.zst": zstd(LINES.encode()),
    "skippable.csv.zst": b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd(CSV.encode()),
    "rows.csv": gzip.compress(CSV.encode()),
    "lines.json": LINES.encode(),
    "list.ndjson": json.dumps(ROWS).encode(),
    "csv": CSV.encode(),
    "csv.txt": CSV.encode(),
    "json.txt": b"\xef\xbb\xbf\n " + json.dumps(ROWS).encode(),
    "lines.log": LINES.encode(),
    "parquet": parquet(),
    "rows.pq": parquet(),
    "rows.parquet.gz": gzip.compress(parquet()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_by_its_name_or_its_content(engine: Engine, name: str) -> None:
    engine.publish(engine.write(name, FILES[name]))
    assert engine.export_rows() == ROWS


@pytest.mark.parametrize("name", ["ORC", "ARROW1", "PAR1"])
def test_a_column_may_be_called_as_a_kind_of_file(engine: Engine, name: str) -> None:
    engine.publish(engine.write("rows.csv", f"{name}\nx\n"))
    assert engine.export_rows() == [{name: "x"}]


@pytest.mark.parametrize("format_name", ["tsv", "csv", "json", "ndjson", "parquet"])
def test_a_format_can_be_named(engine: Engine, format_name: str) -> None:
    content = {"tsv": CSV.replace(",", "\t"), "csv": CSV, "json": json.dumps(ROWS), "ndjson": LINES}
    file = engine.write("rows", content.get(format_name, parquet()))
    engine.publish(file, options=ReadOptions(format=format_name))
    assert engine.export_rows() == ROWS


REFUSED = {
    "cut.csv.gz": (gzip.compress(CSV.encode())[:-9], "cut.csv.gz cannot be decompressed as gzip"),
    "cut.json.zst": (zstd(LINES.encode())[:-3], "cut.json.zst cannot be decompressed as zstd"),
    "twice.csv.gz": (gzip.compress(gzip.compress(CSV.encode())), "twice.csv.gz is compressed twice"),
    "rows.csv.bz2": (bz2.compress(CSV.encode()), "rows.csv.bz2 is compressed by bzip2: decompress it"),
    "rows.csv": (lzma.compress(CSV.encode()), "rows.csv is compressed by xz: decompress it"),
    "alone.csv": (lzma.compress(CSV.encode(), lzma.FORMAT_ALONE), "alone.csv is compressed by lzma: decompress it"),
    "rows.csv.Z": (b"\x1f\x9d\x90xyz", "rows.csv.Z is compressed by compress: decompress it"),
    "rows.sz": (b"\xff\x06\0\0sNaPpY\1", "rows.sz is compressed by Snappy: decompress it"),
    "raw.csv": (pa.compress(b"a,n\nx,1\n", "snappy", asbytes=True), r"raw.csv, line 1: .* control character.*: unpack"),
    "raw long.csv": (
        pa.compress(random.Random(1).randbytes(500).hex().encode() + b",b\n1,2\n" * 3, "snappy", asbytes=True),
        "raw long.csv, line 1: .* is not UTF-8, and there are control characters.*: unpack",
    ),
    "seven.csv": (b"7z\xbc\xaf\x27\x1c\0\4", "seven.csv is a 7z archive: unpack it"),
    "roshal.csv": (b"Rar!\x1a\7\1\0", "roshal.csv is a RAR archive: unpack it"),
    "rows.br": (pa.compress(CSV.encode(), "brotli", asbytes=True), "rows.br, line 1: .* control characters.*: unpack"),
    "table.csv": (b"<table>\n<tr><td>1\n", "table.csv is an HTML page"),
    "sheet.xlsx": (b"PK\x03\x04", "save the sheet as CSV"),
    "sheet": (b"PK\x03\x04", "save its sheet as CSV"),
    "sheet.csv": (b"PK\x03\x04\n\0", "sheet.csv is a ZIP archive or a spreadsheet"),
    "old.csv": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old.csv is an old Excel file"),
    "archive.csv": (bytes(257) + b"ustar", "archive.csv is a tar archive: unpack it"),
    "archive.tgz": (gzip.compress(bytes(257) + b"ustar"), "archive.tgz is a tar archive: unpack it"),
    "report.csv": (b"%PDF-1.4\n1 0 obj\n", "report.csv is a PDF document"),
    "rows.xml": (b"<?xml version='1.0'?>\n<rows>\n</rows>\n", "rows.xml is XML: convert it"),
    "rows.orc": (b"ORC\n\0", "rows.orc is ORC: convert it to Parquet"),
    "pointer.csv": (b"version https://git-lfs.github.com/spec/v1\nsize 5\n", "pointer of Git LFS.*git lfs pull"),
    "columns.csv": (parquet(), "columns.csv is Parquet, not CSV: use --format parquet"),
    "list.csv": (json.dumps(ROWS).encode(), "list.csv is JSON, not CSV: use --format json"),
    "lines.csv": (LINES.encode(), "lines.csv is JSON, not CSV: use --format json"),
    "binary": (b"\x00\x01\n\x02", "no known kind.*--format"),
    "word": (b"word", "no known kind.*--format. If it is compressed.* unpack it"),
    "empty": (b"", "no known kind.*--format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_what_to_do(engine: Engine, name: str) -> None:
    content, message = REFUSED[name]
    with pytest.raises(InvalidInput, match=message):
        engine.publish(engine.write(name, content))
    assert list((engine.folder / "spill").iterdir()) == []


@pytest.mark.parametrize("content", [CSV, "a,n\n" + "x,1\n" * 50_000, LINES], ids=["short", "long", "json"])
def test_a_named_pipe_is_read_once_and_whole(engine: Engine, tmp_path: Path, content: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(content, "utf-8"), daemon=True)
    writer.start()
    format_name = "ndjson" if content == LINES else "csv"
    run = engine.publish(pipe, options=ReadOptions(format=format_name))
    assert run.rows == content.count("\n") - (format_name == "csv")


def test_a_pipe_that_nobody_writes_to_does_not_outlast_a_cancel(engine: Engine, tmp_path: Path) -> None:
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    cancel = CancelToken("Stopped.")
    Timer(0.2, cancel.cancel).start()
    with pytest.raises(Cancelled):
        engine.publisher.publish(Publication(workflow="w", run="r", files=(pipe,)), cancel)


def test_what_is_no_file_is_refused(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "rows.csv")
    for path, message in {Path("/dev/null"): "/dev/null is no file", folder: "has a pipe rows.csv in it"}.items():
        with pytest.raises(InvalidInput, match=message):
            engine.publish(path)


@pytest.mark.parametrize("name", [b"rows\xff.json", b"rows\xff.parquet"])
def test_a_path_that_is_not_utf_8_is_refused(engine: Engine, tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(parquet() if name.endswith(b"parquet") else LINES.encode())
    with pytest.raises(InvalidInput, match="is not UTF-8: rename the file"):
        engine.publish(path)


@pytest.mark.parametrize(("old", "names"), [("A", ["a", "A"]), ("", ["a", ""])])
def test_a_parquet_column_whose_name_is_refused_can_be_renamed(engine: Engine, old: str, names: list[str]) -> None:
    file = engine.write("rows.parquet", "")
    pyarrow.parquet.write_table(pa.table([pa.array([1]), pa.array(["x"])], names), file)
    engine.publish(file, options=ReadOptions(rename={old: "b"}))
    assert engine.export_rows() == [{"a": 1, "b": "x"}]


def test_an_archive_that_expands_beyond_the_spill_limit_is_refused(engine: Engine, tmp_path: Path) -> None:
    bomb = io.BytesIO(gzip.compress(b"a,b\n" + bytes(50_000_000), 9))
    message = r"bomb.gz has more than 1 MB.*TAILRACE_SPILL_LIMIT"
    with gzip.open(bomb) as plain, pytest.raises(InvalidInput, match=message):
        spool(plain, tmp_path / "copy", "bomb.gz", 1_000_000)
    assert (tmp_path / "copy").stat().st_size <= 1_000_000


def test_a_folder_stands_for_its_files_by_name(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "run[1]"
    folder.mkdir()
    for name in ("b.csv", "a.csv", "c.csv"):
        (folder / name).write_text(f"name\n{name}\n")
    for mark in ("_SUCCESS", ".a.csv.crc"):
        (folder / mark).write_text("")
    engine.publish(folder)
    assert [row["name"] for row in engine.export_rows()] == ["a.csv", "b.csv", "c.csv"]
    (folder / "more").mkdir()
    with pytest.raises(InvalidInput, match="has a folder more in it"):
        engine.publish(folder, run="next")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InvalidInput, match="has no files"):
        engine.publish(tmp_path / "bare", run="next")


def test_patterns_find_files_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "a.json"):
        (tmp_path / name).write_text("")
    assert matching([f"{tmp_path}/*.csv"]) == [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert matching([f"{tmp_path}/[b]*", f"{tmp_path}/**/*.json"]) == [tmp_path / "b.csv", tmp_path / "a.json"]
    with pytest.raises(InvalidInput, match=r"No file matches the pattern .*\*\.xml"):
        matching([f"{tmp_path}/*.xml"])


@pytest.mark.parametrize(
    ("arguments", "content"),
    [
        (["-"], LINES.encode()),
        (["-"], gzip.compress(CSV.encode())),
        (["--format", "tsv", "-"], CSV.replace(",", "\t").encode()),
        (["--json-path", "data.rows", "-"], json.dumps({"data": {"rows": ROWS}}).encode()),
        (["--glob", "part*.csv"], b""),
        (["folder"], b""),
    ],
    ids=["lines", "gzip", "tsv", "document", "pattern", "folder"],
)
def test_the_command_takes_pipes_patterns_and_folders(tmp_path: Path, arguments: list[str], content: bytes) -> None:
    (tmp_path / "part1.csv").write_text("a,n\nx,1\n")
    (tmp_path / "part2.csv").write_text("a,n\né,2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "rows.ndjson").write_text(LINES)
    results, spill = tmp_path / "engine" / "store", tmp_path / "spill"
    environment = {**os.environ, "TAILRACE_RESULTS": str(results), "TAILRACE_SPILL_DIRECTORY": str(spill)}
    command = ["publish", "--workflow", "w", "--run", "r", "--team", "acme", *arguments]
    done = run_bytes(command, environment, tmp_path, piped=content)
    assert done.returncode == 0, done.stderr.decode()
    assert Engine(tmp_path / "engine").export_rows() == ROWS
    assert list(spill.iterdir()) == []


def test_a_closed_standard_input_is_refused(tmp_path: Path) -> None:
    environment = {"TAILRACE_RESULTS": str(tmp_path / "results"), "TAILRACE_EXPORTS": str(tmp_path / "exports")}
    # As Python has it in a process that was started without standard input.
    program = f"import sys; sys.stdin = None; {TAILRACE}"
    done = run_bytes(
        ["publish", "--quiet", "--workflow", "w", "--run", "r", "--team", "acme", "-"],
        environment,
        tmp_path,
        program=program,
    )
    assert (done.returncode, done.stderr.decode()) == (1, "tailrace: Standard input is closed.\n")


def test_geometries_of_geoparquet_stay_bytes(engine: Engine) -> None:
    geo = {"version": "1.1.0", "primary_column": "at", "columns": {"at": {"encoding": "WKB", "geometry_types": []}}}
    point = bytes.fromhex("0101000000000000000000f83f0000000000000440")
    table = pa.table({"n": [1, 2], "at": pa.array([point, None], pa.binary())})
    file = engine.write_parquet(table.replace_schema_metadata({"geo": json.dumps(geo)}))
    notes = engine.publish(file).notes
    exported = pyarrow.parquet.read_table(io.BytesIO(engine.export_bytes("parquet")))
    assert exported.to_pylist() == table.to_pylist()
    assert [json.loads(note.partition("metadata: ")[2]) for note in notes] == [geo]


def test_parquet_with_two_thousand_columns_comes_back(engine: Engine) -> None:
    table = pa.table({f"c{n}": [n, None] for n in range(2_000)})
    engine.publish(engine.write_parquet(table))
    exported = pyarrow.parquet.read_table(io.BytesIO(engine.export_bytes("parquet")))
    assert exported.to_pylist() == table.to_pylist()


class CancelledAtCheckpoint(CancelToken):
    """Cancelled while Python reads the files, at the checkpoint of that number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def raise_if_cancelled(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.cancel()
        super().raise_if_cancelled()


@pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson", "rows.csv.gz"])
def test_a_cancel_ends_the_reading_of_files_too(engine: Engine, name: str) -> None:
    lines = ['a,b\n"x\ny",1\n'] if ".csv" in name else ['{"a": 1}\n']
    content = "".join(lines * 500_000).encode()
    file = engine.write(name, gzip.compress(content, 1) if name.endswith(".gz") else content)
    # The first checkpoints are those of the statements before; the reading of several MiB has more.
    token = CancelledAtCheckpoint(4)
    with pytest.raises(Cancelled):
        engine.publisher.publish(Publication("w", "r", (file,), team="acme"), token)
    assert token.left <= 0
    assert engine.keys() == []
