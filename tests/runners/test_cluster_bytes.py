"""The driver and its tasks on threads instead of a cluster: the files are those that a single process writes."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.common.cancellation import CancelToken
from engine.errors import InvalidRequest
from engine.publishing import publisher
from engine.request.formats import FORMATS as FORMATS_OF
from engine.request.request import CsvOptions
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.messages import Job, Task
from engine.runners.ray.sort.shuffle_tasks import MergeTask, SplitTask
from engine.runners.ray.worker import run_task
from tests.helpers.crc64_oracle import crc64_text
from tests.helpers.engine import TEAM, Engine, entry
from tests.helpers.spread import SMALL, Spread, spread_over, staged
from tests.helpers.thread_pool import ThreadPool
from tests.property.cases import Cases
from tests.property.datasets import dataset
from tests.property.requests import request_for

FORMATS = ["csv", "json", "parquet"]
ROWS = 12_000


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spread]:
    """Two parts of three row groups each, with columns that are hard to sort."""
    folder = tmp_path_factory.mktemp("spread")
    engine = Engine(folder / "engine")
    chance = Random(7)
    table = pa.table(
        {
            "n": pa.array(range(ROWS)),
            "same": ["x"] * ROWS,
            "few": [chance.choice(["a", "b", None, "c" * 300]) for _ in range(ROWS)],
            "number": [chance.choice([None, 0.0, -0.0, float("nan"), float("inf"), 1.5, -2.5]) for _ in range(ROWS)],
            "nested": [{"a": n % 7, "b": [n, None]} for n in range(ROWS)],
            "skew": [0 if n % 100 else n for n in range(ROWS)],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publisher, "_COPY_OPTIONS", SMALL)
        patch.setattr("engine.plan.planner.PARQUET_RANGE_BYTES", 1)
        engine.publish(engine.write_parquet(table))
        pool = ThreadPool()
        yield spread_over(pool, engine, folder / "exports")
        pool.threads.shutdown()


REQUESTS: dict[str, dict[str, Any]] = {
    "all": {},
    "with row ids": {"include_row_ids": True},
    "nothing of the first tasks": {"filters": [entry("n", "GREATER_THAN", 9_000)]},
    "nothing of the last tasks": {"filters": [entry("n", "LESS_THAN", 3_000)]},
    "rows far apart": {"filters": [entry("skew", "GREATER_THAN", 0)]},
    "no row, in every task": {"filters": [entry("few", "EQUALS", "bb")]},
    "by a number": {"sort_by": "number"},
    "by a number downwards": {"sort_by": "number", "descending": True},
    "by the one value that all have": {"sort_by": "same"},
    "by a skewed value downwards": {"sort_by": "skew", "descending": True},
    "by a few values": {"sort_by": "few", "filters": [entry("number", "IS_NOT_NULL")]},
    "by a member": {"sort_by": "nested.a", "include_row_ids": True},
    "by a number, of row groups far apart": {"sort_by": "number", "filters": [entry("n", "IN", [*range(90), 9_000])]},
    "by a number, no row": {"sort_by": "n", "filters": [entry("few", "EQUALS", "bb")]},
}


SORTED = [name for name, request in REQUESTS.items() if "sort_by" in request]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", REQUESTS)
def test_the_file_is_the_one_that_a_single_process_writes(spread: Spread, name: str, format_name: str) -> None:
    spread.check(spread.engine.plan(spread.exporter, format_name, **REQUESTS[name]))
    assert staged(Path(spread.exporter._runner._large._exports.location)) == []  # type: ignore[attr-defined]


def test_a_file_above_the_limit_is_the_same_and_has_a_checksum_instead_of_a_hash(
    spread: Spread, tmp_path: Path
) -> None:
    pool = ThreadPool()
    limited = spread_over(pool, spread.engine, tmp_path / "exports", max_hashed_bytes=100)
    for format_name in FORMATS:
        for name in ("rows far apart", "by a few values"):
            plan = spread.engine.plan(limited.exporter, format_name, **REQUESTS[name])
            content = limited.check(plan, hashed=False)
            assert limited.exporter.export(plan, CancelToken()).crc64nvme == crc64_text(content)
    pool.threads.shutdown()


@pytest.mark.parametrize("name", SORTED)
def test_the_file_is_the_same_if_there_are_too_many_buckets_for_one_pass(
    spread: Spread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What becomes of the buckets, and so the format, is the same as in one pass."""
    monkeypatch.setattr("engine.runners.ray.sort.shuffle._MAX_BUCKET_COLUMNS", 0)
    monkeypatch.delattr("engine.runners.ray.sort.shuffle_tasks._write_in_one_pass")
    # A separate store, so that no export exists yet.
    pool = ThreadPool()
    other = spread_over(pool, spread.engine, tmp_path / "exports")
    other.check(spread.engine.plan(other.exporter, "csv", **REQUESTS[name]))
    pool.threads.shutdown()
    assert pool.submitted > 0


@pytest.mark.parametrize("name", SORTED)
def test_sorted_parquet_files_of_many_row_groups_are_the_same(
    spread: Spread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    parquet = FORMATS_OF["parquet"]
    small = replace(parquet, copy_options=parquet.copy_options.replace("122880", "2048"))
    monkeypatch.setitem(FORMATS_OF, "parquet", small)
    monkeypatch.setattr("engine.runners.ray.sort.shuffle.ROW_GROUP_ROWS", 2048)
    seen: list[type[Task]] = []

    def runs(job: Job, task: Task, *inputs: object) -> object:
        seen.append(type(task))
        return run_task(job, task, *inputs)

    pool = ThreadPool(5, runs)
    other = spread_over(pool, spread.engine, tmp_path / "exports")
    # Another filter makes other exports: those of the fixture have row groups of the usual size.
    filters = [*REQUESTS[name].get("filters", ()), entry("n", "LESS_THAN", ROWS + 1)]
    content = other.check(spread.engine.plan(other.exporter, "parquet", **{**REQUESTS[name], "filters": filters}))
    pool.threads.shutdown()
    groups = pyarrow.parquet.ParquetFile(io.BytesIO(content)).metadata.num_row_groups
    assert len([kind for kind in seen if kind in (RangesTask, MergeTask)]) == max(1, min(groups, 6))
    assert SplitTask in seen


def test_the_byte_order_mark_is_written_once(spread: Spread) -> None:
    plan = spread.engine.plan(spread.exporter, "csv", csv_options=CsvOptions(bom=True, delimiter="tab"), sort_by="few")
    content = spread.check(plan)
    assert content.startswith("\ufeffn\t".encode())
    assert content.count("\ufeff".encode()) == 1


def test_row_groups_of_a_sorted_file_end_where_those_of_a_single_process_do(tmp_path: Path) -> None:
    """Segments of several row groups, which begin and end in the middle of a bucket."""
    rows = 700_000
    engine, chance = Engine(tmp_path / "engine"), Random(1)
    # "bucket" is also a name in the statements of a shuffle.
    table = {"k": [chance.choice([None, *range(300)]) for _ in range(rows)], "bucket": pa.array(range(rows))}
    engine.publish(engine.write_parquet(pa.table(table)))
    pool = ThreadPool(2)
    spread = spread_over(pool, engine, tmp_path / "exports", min_task_bytes=1_000_000)
    plan = engine.plan(spread.exporter, "parquet", sort_by="k")
    content = spread.check(plan)
    pool.threads.shutdown()
    assert 2 * 3 <= pool.submitted < 3 * 5, "segments of a single row group would prove nothing"
    metadata = pyarrow.parquet.ParquetFile(io.BytesIO(content)).metadata
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert groups == [122_880] * 5 + [rows - 5 * 122_880]


def test_a_split_into_more_buckets_than_duckdb_can_have_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, buckets = 300_000, 120
    monkeypatch.setattr("engine.runners.ray.sort.shuffle._BUCKETS_PER_SEGMENT", buckets)
    engine, chance = Engine(tmp_path / "engine"), Random(2)
    keys = list(range(rows))
    chance.shuffle(keys)
    engine.publish(engine.write_parquet(pa.table({"k": keys, "n": pa.array(range(rows))})))
    pool = ThreadPool()
    spread = spread_over(pool, engine, tmp_path / "exports", min_task_bytes=1_000_000_000)
    spread.check(engine.plan(spread.exporter, "parquet", sort_by="k"))
    pool.threads.shutdown()


@pytest.mark.parametrize("format_name", FORMATS)
def test_generated_requests_on_generated_runs_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL.replace("2048", "7"))
    monkeypatch.setattr("engine.plan.planner.PARQUET_RANGE_BYTES", 1)
    runs, engine, pool = itertools.count(), Engine(tmp_path / "engine"), ThreadPool()
    spread = spread_over(pool, engine, tmp_path / "exports")

    def property_(chance: Random) -> int:
        data, run = dataset(chance), f"r{next(runs)}"
        data.publish(engine, run)
        for _ in range(4):
            try:
                plan = spread.exporter.plan(request_for(chance, data, format_name).request(run), TEAM)
            except InvalidRequest:
                continue
            if len(plan.scan_ranges) > 1:
                spread.check(plan)
        return 4

    Cases(f"cluster-{format_name}", 0.025).explore(property_, per_example=4)
    pool.threads.shutdown()
    assert pool.submitted > 0
