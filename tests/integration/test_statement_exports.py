"""Exports of statements' results: the bytes of exports, one file for equal requests, and nothing of those that fail."""

import gzip
import io
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, InvalidStatement, LimitExceeded, NotFound
from engine.exports.deletion import Deletion
from engine.exports.export import Export, export_key, is_export
from engine.exports.exporter import Exporter
from engine.exports.history import ExportHistory
from engine.exports.sweep import sweep_stores
from engine.plan.planner import ExportPlan
from engine.query.sandbox import Limits, client
from engine.query.sandbox.statement_runner import StatementRunner
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.request.request import CsvOptions, ExportRequest
from engine.request.statement import StatementRequest, read_params
from engine.runners import LocalRunner
from engine.stores import ObjectStore
from tests.helpers.engine import TEAM, WORKFLOW, Engine
from tests.helpers.statements import ENDLESS, LIMITS, children, until
from tests.helpers.stores import any_store
from tests.integration.test_hostile_statements import OTHERS, TABLES
from tests.integration.test_sandbox import BOMBS, REFUSED

ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "n": 9007199254740993,
        "price": 0.1,
        "text": 'x "quoted", y\nz',
        "tags": ["p", "q"],
        "at": "2026-01-02",
    },
    {"id": "b", "n": -1, "price": None, "text": "=1+1", "tags": [], "at": None},
    {"id": "c", "n": None, "price": 1e300, "text": "", "tags": None, "at": "2026-01-03"},
]
ALL = "SELECT * EXCLUDE (_row_id) FROM data"


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    return Engine(tmp_path / "engine", store)


@pytest.fixture
def run(engine: Engine) -> Run:
    engine.publish_rows(ROWS[:2], run="before", row_id="id")
    return engine.publish_rows(ROWS, row_id="id")


def exporter_of(engine: Engine, limits: Limits = LIMITS) -> Exporter:
    settings = engine.settings(2)
    local = LocalRunner(engine.store, engine.store, settings)
    runner = StatementRunner(local, engine.results, engine.store, limits)
    return Exporter(engine.results, engine.store, settings, runner=runner)


def request(
    sql: str, params: dict[str, object] | None = None, previous: str | bool = False, **options: Any
) -> ExportRequest:
    statement = StatementRequest(sql, read_params(params or {}), previous)
    members: dict[str, Any] = {"run": "r", "format": FORMATS["csv"], "statement": statement} | options
    return ExportRequest(WORKFLOW, **members)


def plan(engine: Engine, *arguments: Any, **options: Any) -> ExportPlan:
    return exporter_of(engine).plan(request(*arguments, **options), TEAM)


def export(engine: Engine, *arguments: Any, limits: Limits = LIMITS, **options: Any) -> Export:
    exporter = exporter_of(engine, limits)
    return exporter.export(exporter.plan(request(*arguments, **options), TEAM), CancelToken())


def content(engine: Engine, made: Export) -> bytes:
    return engine.store.read(export_key(WORKFLOW, made.export_id, made.format))


def files(engine: Engine) -> list[str]:
    """The keys of all finished exports."""
    return [info.key for info in engine.store.list(f"{WORKFLOW}/") if is_export(info.key)]


OPTIONS: dict[str, dict[str, Any]] = {
    "csv": {},
    "csv for a spreadsheet": {"csv": CsvOptions(bom=True, delimiter="semicolon", formula_guard=True)},
    "csv.gz": {"compression": COMPRESSIONS["gzip"], "csv": CsvOptions(bom=True)},
    "json": {"format": FORMATS["json"]},
    "json.gz": {"format": FORMATS["json"], "compression": COMPRESSIONS["gzip"]},
    "jsonl": {"format": FORMATS["jsonl"]},
    "jsonl.zst": {"format": FORMATS["jsonl"], "compression": COMPRESSIONS["zstd"]},
    "parquet": {"format": FORMATS["parquet"]},
    "xlsx": {"format": FORMATS["xlsx"]},
}


def read(extension: str, data: bytes) -> object:
    """The text of a file, or the table of a Parquet file."""
    if extension == "parquet":
        return pa.parquet.read_table(io.BytesIO(data))
    if extension.endswith(".gz"):
        return gzip.decompress(data)
    return pa.input_stream(io.BytesIO(data), compression="zstd").read() if extension.endswith(".zst") else data


@any_store
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("rows", ["all", "none"])
def test_a_file_is_that_of_the_same_rows_without_a_statement(engine: Engine, run: Run, name: str, rows: str) -> None:
    options = OPTIONS[name]
    exporter, ordinary = exporter_of(engine), replace(request("", **options), statement=None)
    if rows == "none":
        ordinary = replace(ordinary, row_ids=("x",))
    expected = exporter.export(exporter.plan(ordinary, TEAM), CancelToken())
    made = export(engine, ALL if rows == "all" else f"{ALL} WHERE FALSE;", **options)
    assert made.rows == expected.rows == len(ROWS) * (rows == "all")
    assert made.fields == expected.fields == run.table.delivered
    extension = made.file_name.partition(".")[2]
    assert made.file_name == f"{WORKFLOW}-r-query.{extension}"
    assert read(extension, content(engine, made)) == read(extension, content(engine, expected))
    assert made.size == len(content(engine, made))


def test_a_result_of_many_row_groups_is_whole_and_in_order(engine: Engine, run: Run) -> None:
    sql = "SELECT i, hash(i) AS h FROM range($n) t(i) ORDER BY i DESC"
    made = export(engine, sql, {"n": 300_000}, format=FORMATS["parquet"])
    table = pa.parquet.read_table(io.BytesIO(content(engine, made)))
    assert table["i"].to_pylist() == list(range(299_999, -1, -1))
    assert made.rows == 300_000
    lines = content(engine, export(engine, sql, {"n": 300_000})).splitlines()
    assert [line.partition(b",")[0] for line in lines] == [b"i", *(str(i).encode() for i in range(299_999, -1, -1))]


def test_equal_requests_have_one_file(engine: Engine, run: Run) -> None:
    sql = "SELECT random() AS r, $a + $b AS s, now() AS t"
    first = export(engine, sql, {"a": 1, "b": 2})
    equal = export(engine, f"\n{sql} ; ", {"B": 2, "a": 1}, run=None)
    assert (equal.export_id, content(engine, equal)) == (first.export_id, content(engine, first))
    assert len(files(engine)) == 1
    ids = {
        first.export_id,
        *(
            plan(engine, *arguments, **options).export_id
            for arguments, options in (
                ((sql, {"a": 2, "b": 1}), {}),
                ((sql, {"a": "1", "b": 2}), {}),
                ((sql.lower(), {"a": 1, "b": 2}), {}),
                ((sql, {"a": 1, "b": 2}, True), {}),
                ((sql, {"a": 1, "b": 2}, "r"), {}),
                ((sql, {"a": 1, "b": 2}), {"run": "before"}),
                ((sql, {"a": 1, "b": 2}), {"format": FORMATS["jsonl"]}),
            )
        ),
    }
    assert len(ids) == 8
    assert (
        plan(engine, sql, {"a": 1, "b": 2}, "before").export_id == plan(engine, sql, {"a": 1, "b": 2}, True).export_id
    )


def test_an_export_is_listed_with_its_statement(engine: Engine, run: Run) -> None:
    export(engine, "SELECT count(*) AS n FROM previous WHERE id = $id", {"id": "a"}, True)
    (past,), _ = ExportHistory(engine.store).page(WORKFLOW, 0, 10)
    assert past.request == {
        "sql": "SELECT count(*) AS n FROM previous WHERE id = $id", "params": {"id": "a"}, "previous": "before",
    }  # fmt: skip


@any_store
@pytest.mark.parametrize(("columns", "known"), [(100, True), (1_000, False)])
def test_the_columns_are_known_unless_they_are_very_many(engine: Engine, run: Run, columns: int, known: bool) -> None:
    names = [sha256(bytes([number % 256, number // 256])).hexdigest()[:24] for number in range(columns)]
    made = export(engine, "SELECT " + ", ".join(f'{number} AS "{name}"' for number, name in enumerate(names)))
    assert [field.name for field in made.fields] == (names if known else [])
    described = exporter_of(engine).describe(WORKFLOW, made.export_id)
    assert described == made


FAILING: dict[str, tuple[str, type[Exception], str]] = {
    "after many rows": (
        "SELECT CASE WHEN i < 900000 THEN i ELSE CAST('x' || i AS INT) END AS a FROM range(1000000) t(i)",
        InvalidStatement, "Could not convert",
    ),
    "a value that no file holds": ("SELECT 'infinity'::DATE AS d", InvalidStatement, "column d has a value"),
    "two columns of one name": ("SELECT 1 AS a, 2 AS A", InvalidStatement, "Duplicate column name"),
    "an unknown column": ("SELECT nme FROM data", InvalidStatement, "LINE 1: SELECT nme FROM data\n"),
    "the other run": ("FROM previous", InvalidStatement, "set the parameter previous"),
}  # fmt: skip


@any_store
@pytest.mark.parametrize("name", FAILING)
def test_nothing_is_visible_of_a_statement_that_fails(engine: Engine, run: Run, name: str) -> None:
    sql, error, message = FAILING[name]
    with pytest.raises(error) as failed:
        export(engine, sql)
    assert message in str(failed.value)
    assert files(engine) == []


def test_a_file_has_a_maximum_size(engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(LimitExceeded, match="exceeds the maximum of 1,000,000 bytes"):
        export(engine, "SELECT repeat('x', 1000) AS x FROM range(100000)")
    # The limit is of the text, as the process of the statement writes it.
    gz: dict[str, Any] = {"compression": COMPRESSIONS["gzip"]}
    assert export(engine, "SELECT repeat('x', 1000) AS x FROM range(900)", **gz).size < 100_000
    with pytest.raises(LimitExceeded):
        export(engine, "SELECT repeat('x', 1000) AS x FROM range(1100)", **gz)


def test_a_cancelled_export_ends_its_process(engine: Engine, run: Run) -> None:
    exporter, cancel = exporter_of(engine), CancelToken()
    threading.Timer(0.5, cancel.cancel).start()
    with pytest.raises(Cancelled):
        exporter.export(exporter.plan(request(ENDLESS), TEAM), cancel)
    assert until(lambda: not children())
    assert files(engine) == []


def test_deleting_a_run_deletes_the_exports_that_read_it(engine: Engine, run: Run) -> None:
    both = export(engine, "FROM data ANTI JOIN previous USING (id)", None, True)
    alone = export(engine, "FROM data")
    Deletion(engine.results, engine.store).delete_run(WORKFLOW, "before", TEAM)
    assert files(engine) == [export_key(WORKFLOW, alone.export_id, alone.format)]
    with pytest.raises(NotFound):
        exporter_of(engine).find(WORKFLOW, both.export_id)


def test_a_run_that_is_deleted_during_an_export_has_none(engine: Engine, run: Run) -> None:
    exporter = exporter_of(engine)
    planned = exporter.plan(request("FROM data ANTI JOIN previous USING (id)", None, True), TEAM)
    Deletion(engine.results, engine.store).delete_run(WORKFLOW, "before", TEAM)
    with pytest.raises(NotFound, match="deleted during the export"):
        exporter.export(planned, CancelToken())
    assert files(engine) == []


def test_a_sweep_completes_the_deletion(engine: Engine, run: Run, tmp_path: Path) -> None:
    export(engine, "FROM data ANTI JOIN previous USING (id)", None, True)
    alone = export(engine, "FROM data")
    assert len(files(engine)) == 2
    engine.store.delete(f"workflow={WORKFLOW}/run=before/run.json")
    sweep_stores(engine.results, engine.store, tmp_path / "spill")
    assert files(engine) == [export_key(WORKFLOW, alone.export_id, alone.format)]


def test_hostile_statements_are_refused(tmp_path: Path) -> None:
    """All that the list refuses, over one run and over two: as the process gets them, not by the check alone."""
    engine = Engine(tmp_path / "attacked")
    engine.publish_rows(ROWS[:2], run="before")
    engine.publish_rows(ROWS)
    for number, sql in enumerate((*REFUSED, *TABLES, *OTHERS)):
        with pytest.raises(InvalidStatement) as error:
            export(engine, sql, None, number % 2 == 0)
        assert "root:" not in error.value.message
        assert str(engine.folder) not in error.value.message
    assert files(engine) == []
    assert not Path("/tmp/x.csv").exists()


@pytest.mark.parametrize("sql", BOMBS)
def test_expensive_statements_end_at_the_time_limit_of_an_export(tmp_path: Path, sql: str) -> None:
    engine = Engine(tmp_path / "bombed")
    engine.publish_rows([{"n": n} for n in range(5000)])
    started = time.monotonic()
    with pytest.raises(LimitExceeded):
        export(engine, sql, limits=Limits(memory_megabytes=200, threads=2, seconds=2))
    assert time.monotonic() - started < 15
    assert until(lambda: not children())
    assert files(engine) == []
