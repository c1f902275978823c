"""Warm instances: small exports that share one have the same files, see nothing of each other, and keep every limit."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.common.progress import Progress
from engine.errors import Cancelled, SourceDamaged
from engine.execute import warm_instances
from engine.execute.executor import ExecutionContext, is_small, run_ranges
from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import StageFileSystem
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.run_files import RunFiles
from engine.execute.session import open_instance, open_session
from engine.execute.warm_instances import WarmInstances
from engine.plan.planner import ExportPlan
from engine.plan.ranges import TARGET_BYTES
from engine.stores import open_store
from tests.helpers.engine import Engine, entry
from tests.integration.test_export_fence import CHANGES, PARTS, USER_SQL, contents, with_paths

ROWS = [{"id": f"k{n}", "n": n, "text": f'"{n}", ü', "o": {"a": [n, None]}} for n in range(300)]

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("csv", {}),
    ("json", {"filters": [entry("n", "GREATER_THAN", 100), entry("n", "LESS_THAN", 250)]}),
    ("jsonl", {"row_ids": ["k7", "k299", "nobody"]}),
    ("parquet", {"filters": [entry("text", "CONTAINS", "1")]}),
    ("csv", {"filters": [entry("n", "LESS_THAN", 0)]}),
    ("json", {"filters": [entry("n", "LESS_THAN", 0)], "compression": "gzip"}),
    ("csv", {"fields": ("o.a", "n"), "compression": "zstd"}),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, module_store_url: tuple[str, dict[str, str]]) -> Engine:
    location, environment = module_store_url
    store = open_store(location, connection_string=environment.get("AZURE_STORAGE_CONNECTION_STRING"))
    return Engine(tmp_path_factory.mktemp("engine"), store)


@pytest.fixture(scope="module")
def run(engine: Engine) -> Run:
    return engine.publish_rows(ROWS, run="mine", row_id="id")


@pytest.fixture(scope="module")
def other(engine: Engine) -> Run:
    """Another run in the same store, with the same columns."""
    return engine.publish_rows([{**row, "text": "theirs"} for row in ROWS], run="other", row_id="id")


@pytest.fixture
def pool() -> Iterator[InstancePool]:
    """A running pool of one instance."""
    instances = InstancePool(open_instance, size=1)
    with instances.running():
        yield instances


@pytest.fixture
def warm(engine: Engine, pool: InstancePool) -> WarmInstances:
    return WarmInstances(pool, engine.settings(2))


def write(engine: Engine, plan: ExportPlan, warm: WarmInstances | None, cancel: CancelToken | None = None) -> bytes:
    """The file of a plan; a cancel token is cancelled when the first bytes arrive."""
    written: list[bytes] = []

    def forward(data: Chunk) -> None:
        written.append(bytes(data))
        if cancel is not None:
            cancel.cancel()

    files = RunFiles(engine.store, plan.run.parts, plan.run.published_at)
    context = ExecutionContext(engine.settings(2), cancel or CancelToken(), Progress(), warm=warm)
    run_ranges(plan, files, forward, context)
    return b"".join(written)


@contextmanager
def serving(engine: Engine, run: Run, warm: WarmInstances) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session as the executor opens it for an export of a run."""
    files = RunFiles(engine.store, run.parts, run.published_at, through_store=True)
    sink = OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0)
    with warm.session(StageFileSystem(sink), files.file_system(), [*files.allowed, "stage://0"]) as connection:
        yield connection


def test_files_are_the_same_as_from_separate_instances(
    engine: Engine, run: Run, other: Run, warm: WarmInstances
) -> None:
    for format_name, options in REQUESTS:
        for published in (run, other):
            plan = engine.plan(engine.exporter(), format_name, run=published.run_id, **options)
            assert is_small(plan)
            assert write(engine, plan, warm) == write(engine, plan, None)
    # One after another, so all of them had the same one.
    assert warm.idle == 1


def test_an_export_sees_and_changes_nothing_but_its_own_files(
    engine: Engine, run: Run, other: Run, warm: WarmInstances, tmp_path: Path
) -> None:
    """Every statement that an export's own instance refuses, with the instance that has just served another run."""
    own, theirs = (f"part://{one.parts[0].key}" for one in (run, other))
    write(engine, engine.plan(engine.exporter(), "csv", run="other"), warm)
    before = contents(engine)
    with serving(engine, run, warm) as connection:
        settings = connection.execute("FROM duckdb_settings() ORDER BY name").fetchall()
        for statement in [*PARTS, *CHANGES, *USER_SQL]:
            with pytest.raises((duckdb.Error, RuntimeError)):
                connection.execute(with_paths(statement, tmp_path, own, theirs)).fetchall()
        assert connection.execute("FROM duckdb_settings() ORDER BY name").fetchall() == settings
        assert connection.execute("SELECT count(*) FROM read_parquet(?)", [own]).fetchall() == [(300,)]
    assert contents(engine) == before
    assert not (tmp_path / "out").exists()


def test_an_idle_instance_has_no_files(engine: Engine, run: Run, warm: WarmInstances) -> None:
    with serving(engine, run, warm) as connection:
        assert connection.execute("SELECT count(*) FROM read_parquet(?)", [f"part://{run.parts[0].key}"]).fetchall()
    assert warm.idle == 1
    for statement in (f"FROM read_parquet('part://{run.parts[0].key}')", "COPY (SELECT 1) TO 'stage://0'"):
        with pytest.raises((duckdb.Error, RuntimeError)):
            connection.execute(statement).fetchall()


def test_no_export_leaves_anything_in_the_catalog(engine: Engine, run: Run, warm: WarmInstances) -> None:
    own = (
        "duckdb_tables()",
        "duckdb_views()",
        "duckdb_prepared_statements()",
        "duckdb_variables()",
        "duckdb_secrets()",
    )
    counts = "SELECT " + ", ".join(f"(SELECT count(*) FROM {name})" for name in own)
    with serving(engine, run, warm) as connection:
        before = connection.execute(counts).fetchall()
    for format_name, options in REQUESTS:
        write(engine, engine.plan(engine.exporter(), format_name, run="mine", **options), warm)
    with serving(engine, run, warm) as connection:
        assert connection.execute(counts).fetchall() == before


def test_concurrent_exports_have_an_instance_each(engine: Engine, run: Run, other: Run, warm: WarmInstances) -> None:
    own, theirs = (f"part://{one.parts[0].key}" for one in (run, other))
    with serving(engine, run, warm) as mine, serving(engine, other, warm) as beside:
        for session, allowed, refused in ((mine, own, theirs), (beside, theirs, own)):
            assert session.execute("SELECT count(*) FROM read_parquet(?)", [allowed]).fetchall() == [(300,)]
            with pytest.raises((duckdb.Error, RuntimeError)):
                session.execute("SELECT count(*) FROM read_parquet(?)", [refused]).fetchall()


@pytest.mark.parametrize("row_ids", [None, ["k7"]], ids=["all rows", "one id"])
def test_an_instance_is_discarded_after_damage(
    engine: Engine, run: Run, warm: WarmInstances, row_ids: list[str] | None
) -> None:
    name = "damaged" if row_ids is None else "damaged-id"
    damaged = engine.publish_rows(ROWS, run=name, row_id="id")
    sound = engine.plan(engine.exporter(), "csv", run=run.run_id)
    expected = write(engine, sound, warm)
    plan = engine.plan(engine.exporter(), "csv", run=name, row_ids=row_ids)
    part = damaged.parts[0]
    info = engine.store.head(part.key)
    assert info is not None
    content = engine.store.read(part.key)
    changed = engine.store.replace(part.key, b"\0" * len(content), etag=info.etag)
    # Of the version that the manifest names, but nothing that DuckDB can read.
    parts = tuple(one.model_copy(update={"etag": changed.etag}) for one in plan.run.parts)
    files = RunFiles(engine.store, parts, plan.run.published_at)
    context = ExecutionContext(engine.settings(2), CancelToken(), Progress(), warm=warm)
    with pytest.raises(SourceDamaged):
        run_ranges(plan, files, lambda _: None, context)
    assert warm.idle == 0
    assert write(engine, sound, warm) == expected


def test_a_cancelled_export_stops_and_its_instance_is_discarded(engine: Engine, run: Run, warm: WarmInstances) -> None:
    plan = engine.plan(engine.exporter(), "csv", run=run.run_id)
    with pytest.raises(Cancelled):
        write(engine, plan, warm, CancelToken())
    assert warm.idle == 0
    assert len(write(engine, plan, warm)) > 1


@contextmanager
def _cancelled_soon(cancel: CancelToken) -> Iterator[None]:
    # The time begins here, since opening an instance may take longer.
    threading.Timer(0.2, cancel.cancel).start()
    yield


def test_a_statement_of_a_warm_instance_can_be_cancelled(engine: Engine, run: Run, warm: WarmInstances) -> None:
    cancel = CancelToken()
    endless = "SELECT count(*) FROM range(1_000_000_000_000) AS a(i) WHERE i % 7 = 8"
    with (
        pytest.raises(duckdb.InterruptException),
        serving(engine, run, warm) as connection,
        cancel.watching(connection),
        _cancelled_soon(cancel),
    ):
        connection.execute(endless).fetchall()
    assert warm.idle == 0


def test_limits_are_those_of_a_separate_instance(engine: Engine, run: Run, warm: WarmInstances) -> None:
    limits = (
        "SELECT name, value FROM duckdb_settings() WHERE name IN ('memory_limit', 'threads', 'TimeZone') ORDER BY 1"
    )
    with open_session(engine.settings(2), threads=1) as connection:
        expected = connection.execute(limits).fetchall()
    with serving(engine, run, warm) as connection:
        assert connection.execute(limits).fetchall() == expected
    with pytest.raises(duckdb.OutOfMemoryException), serving(engine, run, warm) as connection:
        # 500 MB of different texts, and nowhere to spill.
        connection.execute(
            "SELECT max(len(a)) FROM (SELECT list(repeat('x', 60) || i) AS a FROM range(50_000_000) t(i))"
        )
    assert warm.idle == 0


def test_large_sorted_and_compared_exports_have_separate_instances(
    engine: Engine, run: Run, other: Run, warm: WarmInstances
) -> None:
    exporter = engine.exporter()
    assert not is_small(engine.plan(exporter, "csv", run="mine", sort_by="n"))
    assert not is_small(engine.plan(exporter, "csv", run="other", since_run="mine"))
    whole = engine.plan(exporter, "csv", run="mine")
    parts = tuple(part.model_copy(update={"bytes": TARGET_BYTES + 1}) for part in whole.run.parts)
    assert not is_small(replace(whole, ranges=(replace(whole.ranges[0], parts=parts),)))
    assert write(engine, engine.plan(exporter, "csv", run="mine", sort_by="n"), warm)
    assert warm.idle == 0


def test_an_instance_serves_a_limited_number_of_exports(
    engine: Engine, run: Run, warm: WarmInstances, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_instances, "MAX_USES", 2)
    served: list[duckdb.DuckDBPyConnection] = []
    for _ in range(4):
        with serving(engine, run, warm) as connection:
            served.append(connection)
    assert served[0] is served[1]
    assert served[1] is not served[2]
    assert served[2] is served[3]
    assert warm.idle == 0


def test_few_instances_stay_open_and_none_after_the_pool_closes(engine: Engine, run: Run) -> None:
    pool = InstancePool(open_instance, size=1)
    warm = WarmInstances(pool, engine.settings(1))
    with pool.running():
        with ExitStack() as stack:
            connections = [stack.enter_context(serving(engine, run, warm)) for _ in range(5)]
        assert warm.idle == warm_instances.MAX_IDLE
    assert warm.idle == 0
    for connection in connections:
        with pytest.raises(duckdb.ConnectionException):
            connection.execute("SELECT 1")
