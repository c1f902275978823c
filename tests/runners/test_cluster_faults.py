"""What goes wrong under the driver: each time the file is right, or there is none and it is told why."""

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
    """What is put into ``interfering`` gets every task before it runs, and its number among those of its kind.

    What is put into ``withholding`` gets it, and its result, when it has run, before anyone else has that.
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
        found = worker.run_task(job, task, *inputs)
        for withhold in withholding:
            withhold(number, task, found)
        return found

    pool = ThreadPool(6, runs)
    yield spread_over(pool, engine, tmp_path / "exports")
    pool.threads.shutdown()


def blocks(folder: Path) -> set[str]:
    """Names of what was staged and not committed."""
    return {path.name for path in files_below(folder / ".staging")}


@pytest.fixture
def interfering() -> list[Interfering]:
    return []


@pytest.fixture
def withholding() -> list[Withholding]:
    return []


@pytest.mark.parametrize(("sort_by", "kind"), PHASES)
@pytest.mark.parametrize(
    "error", [StoreUnavailable("gone"), LimitExceeded("full"), SourceDamaged("bad"), ClusterUnavailable("lost")]
)
def test_what_a_task_raised_is_told_and_nothing_is_visible(
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
def test_a_cancel_is_heard_in_every_phase(
    spread: Spread, interfering: list[Interfering], tmp_path: Path, sort_by: str | None, kind: type
) -> None:
    cancel = CancelToken()

    def asked(number: int, _: Job, task: Task) -> None:
        if isinstance(task, kind) and number == 1:
            cancel.cancel()

    interfering.append(asked)
    with pytest.raises(Cancelled):
        spread.exporter.export(spread.engine.plan(spread.exporter, "csv", sort_by=sort_by), cancel)
    assert spread.visible() == []
    assert staged(tmp_path / "exports") == []


@pytest.mark.parametrize("hung", [(0,), (0, 1, 2), (3, 4)])
@pytest.mark.parametrize(("sort_by", "kind"), PHASES)
def test_stragglers_get_twins_and_what_they_write_later_is_left_out(
    spread: Spread,
    interfering: list[Interfering],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sort_by: str | None,
    kind: type,
    hung: tuple[int, ...],
) -> None:
    late, free = [], threading.Event()

    def hang(number: int, _: Job, task: Task) -> None:
        if isinstance(task, kind) and number in hung:
            late.append(task)
            free.wait(30)

    monkeypatch.setattr(task_window, "STRAGGLER_SECONDS", 0.2)
    interfering.append(hang)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by=sort_by)
    started = time.monotonic()
    content = spread.check(plan)
    assert time.monotonic() - started < 25
    assert len(late) == len(hung)
    # The ghosts write when all is over: into nothing.
    free.set()
    wait_for(lambda: not any(thread.name == "task" for thread in threading.enumerate()))
    assert spread.content(plan) == content
    assert len(spread.visible()) == 1
    assert staged(tmp_path / "exports") == []


def test_stragglers_get_twins_before_any_task_has_ended(
    spread: Spread, interfering: list[Interfering], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all slots but one; nobody knows yet how long a task takes."""
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
def test_of_two_attempts_that_staged_the_same_bytes_one_counts(
    spread: Spread,
    interfering: list[Interfering],
    withholding: list[Withholding],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sort_by: str | None,
    kind: type,
) -> None:
    free, seen = threading.Event(), []

    def withhold(number: int, task: Task, found: object) -> None:
        if isinstance(task, kind) and number == 1 and isinstance(found, Segment):
            seen.append((task, {block.id for block in found.blocks}))
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
    assert of_first <= before_twin, "what the first attempt staged lay there when the second one began"


@pytest.mark.parametrize(("sort_by", "kind"), STAGING)
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_a_block_that_changed_after_it_was_staged_is_told(
    spread: Spread,
    withholding: list[Withholding],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sort_by: str | None,
    kind: type,
    format_name: str,
) -> None:
    """One bit, in the middle of a block of the first task, which the driver of an array stages anew."""
    monkeypatch.setattr("engine.plan.planner.PARQUET_RANGE_BYTES", 1)

    def flip(number: int, task: Task, found: object) -> None:
        if isinstance(task, kind) and number == 0 and isinstance(found, Segment):
            name = found.blocks[0].id
            (path,) = (one / name for one in staged(tmp_path / "exports") if (one / name).exists())
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)

    withholding.append(flip)
    filters = [entry("n", "LESS_THAN", ROWS)]
    plan = spread.engine.plan(spread.exporter, format_name, filters=filters, sort_by=sort_by)
    with pytest.raises(StoreError, match="Checksum mismatch"):
        spread.exporter.export(plan, CancelToken())
    assert spread.visible() == []
    assert staged(tmp_path / "exports") == []
    withholding.clear()
    spread.check(plan)


@pytest.mark.parametrize("sort_by", [None, "n"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_tasks_run_at_once_than_an_export_may_have(
    engine: Engine, tmp_path: Path, sort_by: str | None, most: int
) -> None:
    """Six could; and as many do, so that the limit is no idleness."""
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
    spread = spread_over(pool, engine, tmp_path / "exports", max_tasks=most)
    spread.check(spread.engine.plan(spread.exporter, "csv", sort_by=sort_by))
    pool.threads.shutdown()
    assert peak == most


def test_a_straggler_gets_its_twin_beyond_that_limit(
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


def test_a_cluster_without_processors_is_told(
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


def test_a_cancel_is_heard_where_every_task_is_done_before_it_is_asked_for(spread: Spread, tmp_path: Path) -> None:
    cancel, progress = CancelToken(), Progress()
    plan = spread.engine.plan(spread.exporter, "csv")

    def stop(rows: int) -> None:
        del rows
        wait_for(lambda: not any(thread.name == "task" for thread in threading.enumerate()))
        cancel.cancel()

    progress.add_rows = stop  # type: ignore[method-assign]  # called by the driver when it took a piece
    with pytest.raises(Cancelled):
        spread.exporter.export(plan, cancel, progress)
    assert staged(tmp_path / "exports") == []


@pytest.mark.parametrize(
    ("limit", "threads", "wanted"), [("1GB", 2, "500MB"), ("1GB", 16, "125MB"), ("100MB", 16, "100MB")]
)
def test_a_task_has_what_a_sort_wants_however_many_processors_the_service_has(
    spread: Spread, interfering: list[Interfering], limit: str, threads: int, wanted: str
) -> None:
    jobs: list[Job] = []
    interfering.append(lambda _number, job, _task: jobs.append(job))
    large = spread.exporter._runner._large  # type: ignore[attr-defined]  # a choosing runner's, which this one is
    large._settings = large._settings.model_copy(update={"memory_limit": limit, "threads": threads})
    spread.check(spread.engine.plan(spread.exporter, "csv", sort_by="n"))
    assert {job.settings.memory_limit for job in jobs} == {wanted}


def test_another_version_is_told_with_both(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "versions", lambda: "tailrace 9")
    with pytest.raises(ClusterUnavailable, match=r"it has tailrace 9, the service has tailrace 0.*Install the same"):
        spread.exporter.export(spread.engine.plan(spread.exporter, "csv"), CancelToken())
    assert spread.visible() == []


def test_a_part_replaced_meanwhile_is_told(spread: Spread, interfering: list[Interfering]) -> None:
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
def test_what_goes_to_a_task_holds_no_credential(
    engine: Engine, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, sort_by: str | None
) -> None:
    sent: list[bytes] = []

    def runs(job: Job, task: Task, *inputs: object) -> object:
        sent.append(pickle.dumps((job, task)))
        return worker.run_task(job, task, *inputs)

    # A task finds them where it runs.
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
