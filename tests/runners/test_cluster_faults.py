"""Faults of tasks, on threads instead of a cluster: the file is exact, or there is none and the error says why."""

import pickle
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import (
    Cancelled,
    ClusterUnavailable,
    EngineError,
    LimitExceeded,
    SourceDamaged,
    StoreError,
    StoreUnavailable,
)
from engine.publishing import publisher
from engine.runners.ray import task_window, worker
from engine.runners.ray.encode_task import RangesTask
from engine.runners.ray.messages import Job, Segment, Task
from engine.runners.ray.runner import ClusterRunner, LocatedStore
from engine.runners.ray.sort.key_tasks import SampleTask
from engine.runners.ray.sort.shuffle_tasks import MergeTask, SplitTask
from engine.stores import open_store
from tests.helpers.azurite import KEY, Azurite
from tests.helpers.engine import Engine, entry
from tests.helpers.fault_proxy import BLOCK, Fault, FaultProxy
from tests.helpers.folders import files_below
from tests.helpers.running import wait_for
from tests.helpers.spread import SMALL, Spread, spread_over, staged
from tests.helpers.thread_pool import ThreadPool, ThreadSession

ROWS = 12_000
PHASES = [(None, RangesTask), ("n", SampleTask), ("n", SplitTask), ("n", MergeTask)]
"""The sort field and the tasks of the phase."""
STAGING = [(None, RangesTask), ("n", MergeTask)]
"""The phases that stage blocks."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL)
    engine = Engine(tmp_path / "engine")
    engine.publish(engine.write_parquet(pa.table({"n": Random(3).sample(range(ROWS), ROWS)})))
    return engine


Interfering = Callable[[int, Job, Task], None]
Withholding = Callable[[int, Task, object], None]


@pytest.fixture
def spread(
    engine: Engine,
    tmp_path: Path,
    interfering: list[Interfering],
    withholding: list[Withholding],
) -> Iterator[Spread]:
    """Functions in ``interfering`` are called with every task before it runs, and its number among those of its class.

    Functions in ``withholding`` are called with every task and its result before the result is returned.
    """
    seen: dict[type, int] = {}
    lock = threading.Lock()

    def runs(job: Job, task: Task, *inputs: object) -> object:
        with lock:
            number = seen[type(task)] = seen.get(type(task), -1) + 1
        try:
            for one in interfering:
                one(number, job, task)
        except EngineError as error:
            failure = worker.failure_of(error)
            return failure if task.returns == 1 else [failure] * task.returns
        result = worker.run_task(job, task, *inputs)
        for withhold in withholding:
            withhold(number, task, result)
        return result

    pool = ThreadPool(6, runs)
    yield spread_over(pool, engine, tmp_path / "exports")
    pool.threads.shutdown()


def blocks(folder: Path) -> set[str]:
    """Names of blocks that are staged and not committed."""
    return {path.name for path in files_below(folder / ".staging")}


@pytest.fixture
def interfering() -> list[Interfering]:
    return []


@pytest.fixture
def withholding() -> list[Withholding]:
    return []


@pytest.mark.parametrize(
    ("sort_by", "kind", "error"),
    [
        *((None, RangesTask, error) for error in (LimitExceeded("full"), SourceDamaged("bad"))),
        *((*phase, ClusterUnavailable("lost")) for phase in PHASES),
        ("n", MergeTask, StoreUnavailable("gone")),
    ],
)
def test_the_error_of_a_task_is_raised_and_nothing_is_visible(
    spread: Spread,
    interfering: list[Interfering],
    tmp_path: Path,
    sort_by: str | None,
    kind: type,
    error: EngineError,
) -> None:
    def fail(number: int, _: Job, task: Task) -> None:
        if isinstance(task, kind) and number == 2:
            raise error

    interfering.append(fail)
    with pytest.raises(type(error), match=error.message):
        spread.exporter.export(spread.engine.plan(spread.exporter, "csv", sort_by=sort_by), CancelToken())
    assert spread.visible() == []
    assert staged(tmp_path / "exports") == []
    interfering.clear()
    spread.check(spread.engine.plan(spread.exporter, "csv", sort_by=sort_by))


@pytest.mark.parametrize(("sort_by", "kind"), PHASES)
def test_an_export_can_be_cancelled_in_every_phase(
    spread: Spread, interfering: list[Interfering], tmp_path: Path, sort_by: str | None, kind: type
) -> None:
    cancel = CancelToken()

    def cancel_second(number: int, _: Job, task: Task) -> None:
        if isinstance(task, kind) and number == 1:
            cancel.cancel()

    interfering.append(cancel_second)
    with pytest.raises(Cancelled):
        spread.exporter.export(spread.engine.plan(spread.exporter, "csv", sort_by=sort_by), cancel)
    assert spread.visible() == []
    assert staged(tmp_path / "exports") == []


@pytest.mark.parametrize(
    ("sort_by", "kind", "hung"),
    [*((*phase, (0, 1, 2)) for phase in PHASES), (None, RangesTask, (0,)), ("n", MergeTask, (3, 4))],
)
def test_stragglers_are_retried_and_what_they_write_later_is_ignored(
    spread: Spread,
    interfering: list[Interfering],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sort_by: str | None,
    kind: type,
    hung: tuple[int, ...],
) -> None:
    hanging, free = [], threading.Event()

    def hang(number: int, _: Job, task: Task) -> None:
        if isinstance(task, kind) and number in hung:
            hanging.append(task)
            free.wait(30)

    monkeypatch.setattr(task_window, "STRAGGLER_SECONDS", 0.2)
    interfering.append(hang)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by=sort_by)
    started = time.monotonic()
    content = spread.check(plan)
    assert time.monotonic() - started < 25
    assert len(hanging) == len(hung)
    # The first attempts go on after the export has ended.
    free.set()
    wait_for(lambda: not any(thread.name == "task" for thread in threading.enumerate()))
    assert spread.content(plan) == content
    assert len(spread.visible()) == 1
    assert staged(tmp_path / "exports") == []


def test_stragglers_are_retried_before_any_task_has_finished(
    spread: Spread, interfering: list[Interfering], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All slots but one hang, and the usual duration of a task is not known yet."""
    free, first = threading.Event(), threading.Event()

    def hang(number: int, _: Job, _task: Task) -> None:
        if number < 5:
            free.wait(30)
        elif number == 5:
            first.wait(1)

    monkeypatch.setattr(task_window, "STRAGGLER_SECONDS", 0.2)
    monkeypatch.setattr(task_window, "_ASSUMED_MEDIAN_SECONDS", 0.1)
    interfering.append(hang)
    started = time.monotonic()
    spread.check(spread.engine.plan(spread.exporter, "csv"))
    assert time.monotonic() - started < 25
    free.set()


@pytest.mark.parametrize(("sort_by", "kind"), STAGING)
def test_only_one_of_two_attempts_that_staged_the_same_bytes_is_committed(
    spread: Spread,
    interfering: list[Interfering],
    withholding: list[Withholding],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sort_by: str | None,
    kind: type,
) -> None:
    free, seen = threading.Event(), []

    def withhold(number: int, task: Task, result: object) -> None:
        if isinstance(task, kind) and number == 1 and isinstance(result, Segment):
            seen.append((task, {block.id for block in result.blocks}))
            free.wait(30)

    def twin(number: int, _: Job, task: Task) -> None:
        if seen and number > 1 and task == seen[0][0]:
            seen.append((task, blocks(tmp_path / "exports")))

    monkeypatch.setattr(task_window, "STRAGGLER_SECONDS", 0.2)
    withholding.append(withhold)
    interfering.append(twin)
    spread.check(spread.engine.plan(spread.exporter, "csv", sort_by=sort_by))
    left = staged(tmp_path / "exports")
    free.set()
    assert left == []
    (_, of_first), (_, before_twin) = seen
    assert of_first
    assert of_first <= before_twin, "the blocks of the first attempt have to exist when the second one starts"


@pytest.mark.parametrize(("sort_by", "kind"), STAGING)
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_a_block_that_changed_after_it_was_staged_is_an_error(
    spread: Spread,
    withholding: list[Withholding],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sort_by: str | None,
    kind: type,
    format_name: str,
) -> None:
    """One bit in the middle of the first block, which the driver of a JSON export stages again."""
    monkeypatch.setattr("engine.plan.planner.PARQUET_RANGE_BYTES", 1)

    def flip(number: int, task: Task, result: object) -> None:
        if isinstance(task, kind) and number == 0 and isinstance(result, Segment):
            name = result.blocks[0].id
            (path,) = (one / name for one in staged(tmp_path / "exports") if (one / name).exists())
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)

    withholding.append(flip)
    # No bounds prove it, so no row group is copied.
    filters = [entry("n", "NOT_EQUALS", ROWS)]
    plan = spread.engine.plan(spread.exporter, format_name, filters=filters, sort_by=sort_by)
    with pytest.raises(StoreError, match="Checksum mismatch"):
        spread.exporter.export(plan, CancelToken())
    assert spread.visible() == []
    assert staged(tmp_path / "exports") == []
    withholding.clear()
    spread.check(plan)


def test_a_block_that_changed_is_an_error_without_a_hash_as_well(
    spread: Spread, withholding: list[Withholding], tmp_path: Path
) -> None:
    """One bit of a block in the middle of the file, whose bytes no hash needs."""
    large = spread.exporter._runner._large  # type: ignore[attr-defined]  # of a SizeRouter, which this runner is
    large._max_hashed_bytes = 0

    def flip(number: int, _: Task, result: object) -> None:
        if number == 3 and isinstance(result, Segment):
            name = result.blocks[0].id
            (path,) = (one / name for one in staged(tmp_path / "exports") if (one / name).exists())
            content = bytearray(path.read_bytes())
            content[-1] ^= 128
            path.write_bytes(content)

    withholding.append(flip)
    plan = spread.engine.plan(spread.exporter, "csv")
    with pytest.raises(StoreError, match="Checksum mismatch"):
        spread.exporter.export(plan, CancelToken())
    assert spread.visible() == []
    withholding.clear()
    spread.check(plan, hashed=False)


@pytest.mark.azurite
@pytest.mark.parametrize("sort_by", [None, "n"])
def test_tasks_keep_their_bytes_only_until_the_file_is_above_the_limit(
    engine: Engine, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, sort_by: str | None
) -> None:
    segments: list[Segment] = []

    def runs(job: Job, task: Task, *inputs: object) -> object:
        result = worker.run_task(job, task, *inputs)
        if isinstance(result, Segment):
            segments.append(result)
        return result

    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    location, pool = f"az://runners-{uuid.uuid4().hex}/x", ThreadPool(1, runs)
    exports = open_store(location, connection_string=azurite.connection_string)
    places = LocatedStore(str(engine.folder / "store"), engine.store), LocatedStore(location, exports)
    runner = ClusterRunner(*places, engine.settings(2), pool, min_task_bytes=1, max_tasks=1, max_hashed_bytes=9_000)
    spread = Spread(engine, exports, runner)
    assert len(spread.check(engine.plan(spread.exporter, "csv", sort_by=sort_by), hashed=False)) > 9_000
    pool.threads.shutdown()
    handed_over = [bool(segment.content) for segment in segments]
    assert handed_over[0]
    assert not handed_over[-1]
    assert handed_over == sorted(handed_over, reverse=True)


@pytest.mark.parametrize("sort_by", [None, "n"])
@pytest.mark.parametrize("max_tasks", [1, 2, 3])
def test_the_limit_of_tasks_is_reached_and_not_exceeded(
    engine: Engine, tmp_path: Path, sort_by: str | None, max_tasks: int
) -> None:
    """There are six slots."""
    running, peak = 0, 0
    lock = threading.Lock()

    def runs(job: Job, task: Task, *inputs: object) -> object:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.02)
        try:
            return worker.run_task(job, task, *inputs)
        finally:
            with lock:
                running -= 1

    pool = ThreadPool(6, runs)
    spread = spread_over(pool, engine, tmp_path / "exports", max_tasks=max_tasks)
    spread.check(spread.engine.plan(spread.exporter, "csv", sort_by=sort_by))
    pool.threads.shutdown()
    assert peak == max_tasks


def test_the_retry_of_a_straggler_does_not_count_against_the_limit(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, tasks = threading.Event(), list[Task]()

    def runs(job: Job, task: Task, *inputs: object) -> object:
        tasks.append(task)
        if len(tasks) == 1:
            free.wait(30)
        return worker.run_task(job, task, *inputs)

    monkeypatch.setattr(task_window, "STRAGGLER_SECONDS", 0.2)
    monkeypatch.setattr(task_window, "_ASSUMED_MEDIAN_SECONDS", 0.1)
    pool = ThreadPool(6, runs)
    spread = spread_over(pool, engine, tmp_path / "exports", max_tasks=1)
    started = time.monotonic()
    spread.check(spread.engine.plan(spread.exporter, "csv"))
    assert time.monotonic() - started < 25
    free.set()
    assert tasks[1] == tasks[0]
    pool.threads.shutdown()


def test_a_cluster_that_has_lost_all_its_processors_is_an_error(
    spread: Spread, interfering: list[Interfering], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    def gone(_: ThreadSession) -> None:
        raise ClusterUnavailable("no node")

    def hang(number: int, _: Job, _task: Task) -> None:
        if number == 2:
            free.wait(30)

    monkeypatch.setattr(task_window, "STRAGGLER_SECONDS", 0.2)
    monkeypatch.setattr(ThreadSession, "check", gone)
    interfering.append(hang)
    with pytest.raises(ClusterUnavailable, match="no node"):
        spread.exporter.export(spread.engine.plan(spread.exporter, "csv"), CancelToken())
    free.set()
    assert spread.visible() == []


def test_an_export_can_be_cancelled_when_all_its_tasks_have_finished(spread: Spread, tmp_path: Path) -> None:
    cancel, progress = CancelToken(), Progress()
    plan = spread.engine.plan(spread.exporter, "csv")

    def stop(rows: int) -> None:
        del rows
        wait_for(lambda: not any(thread.name == "task" for thread in threading.enumerate()))
        cancel.cancel()

    progress.add_rows = stop  # type: ignore[method-assign]  # called by the driver after each segment
    with pytest.raises(Cancelled):
        spread.exporter.export(plan, cancel, progress)
    assert staged(tmp_path / "exports") == []


@pytest.mark.parametrize(
    ("limit", "threads", "wanted"), [("1GB", 2, "500MB"), ("1GB", 16, "125MB"), ("100MB", 16, "100MB")]
)
def test_the_memory_of_a_task_suffices_for_a_sort_whatever_the_number_of_processors(
    spread: Spread, interfering: list[Interfering], limit: str, threads: int, wanted: str
) -> None:
    jobs: list[Job] = []
    interfering.append(lambda _number, job, _task: jobs.append(job))
    large = spread.exporter._runner._large  # type: ignore[attr-defined]  # of a SizeRouter, which this runner is
    large._settings = large._settings.model_copy(update={"memory_limit": limit, "threads": threads})
    spread.check(spread.engine.plan(spread.exporter, "csv", sort_by="n"))
    assert {job.settings.memory_limit for job in jobs} == {wanted}


def test_a_version_mismatch_names_both_versions(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "versions", lambda: "tailrace 9")
    with pytest.raises(ClusterUnavailable, match=r"it has tailrace 9, the service has tailrace 0.*Install the same"):
        spread.exporter.export(spread.engine.plan(spread.exporter, "csv"), CancelToken())
    assert spread.visible() == []


def test_a_part_that_is_replaced_during_an_export_is_an_error(spread: Spread, interfering: list[Interfering]) -> None:
    plan = spread.engine.plan(spread.exporter, "csv")
    part = plan.run.parts[1]

    def replace(number: int, _: Job, task: Task) -> None:
        if number == 0:
            spread.engine.store.replace(part.key, spread.engine.store.read(part.key), etag=part.etag)

    interfering.append(replace)
    with pytest.raises(SourceDamaged):
        spread.exporter.export(plan, CancelToken())
    assert spread.visible() == []


@pytest.mark.parametrize("sort_by", [None, "n"])
def test_jobs_and_tasks_contain_no_credentials(
    engine: Engine, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, sort_by: str | None
) -> None:
    sent: list[bytes] = []

    def runs(job: Job, task: Task, *inputs: object) -> object:
        sent.append(pickle.dumps((job, task)))
        return worker.run_task(job, task, *inputs)

    # A task takes credentials from the environment of its node.
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    location, pool = f"az://runners-{uuid.uuid4().hex}/x", ThreadPool(2, runs)
    exports = open_store(location, connection_string=azurite.connection_string)
    results = LocatedStore(str(engine.folder / "store"), engine.store)
    runner = ClusterRunner(results, LocatedStore(location, exports), engine.settings(2), pool, min_task_bytes=1)
    spread = Spread(engine, exports, runner)
    spread.check(engine.plan(spread.exporter, "csv", sort_by=sort_by))
    pool.threads.shutdown()
    assert len(sent) > 2
    assert all(location.encode() in one for one in sent)
    pieces = [piece.encode() for piece in re.split("[=;]", azurite.connection_string) if len(piece) > 20]
    assert KEY.encode() in azurite.connection_string.encode()
    assert not any(piece in one for piece in [KEY.encode(), *pieces] for one in sent)


@pytest.mark.parametrize(("checksum", "refusal"), [("md5", "Md5Mismatch"), ("crc64", "Crc64Mismatch")])
def test_a_block_of_a_task_that_is_changed_on_the_way_is_refused(
    engine: Engine, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, checksum: str, refusal: str
) -> None:
    location, pool = f"az://runners-{uuid.uuid4().hex}/x", ThreadPool(2, worker.run_task)
    with FaultProxy(azurite.port) as proxy:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", proxy.connection_string)
        monkeypatch.setenv("TAILRACE_AZURE_CHECKSUM", checksum)
        exports = open_store(location, connection_string=azurite.connection_string)
        results = LocatedStore(str(engine.folder / "store"), engine.store)
        runner = ClusterRunner(results, LocatedStore(location, exports), engine.settings(2), pool, min_task_bytes=1)
        spread = Spread(engine, exports, runner)
        proxy.inject(Fault(BLOCK, "changed", times=1))
        with pytest.raises(StoreError, match=refusal):
            spread.exporter.export(engine.plan(spread.exporter, "csv"), CancelToken())
        assert proxy.hit == 1
    pool.threads.shutdown()
    assert spread.visible() == []
