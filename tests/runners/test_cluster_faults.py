"""What goes wrong under the driver: each time the file is right, or there is none and it is told why."""

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from engine import publisher
from engine.cancel import CancelToken
from engine.errors import Cancelled, ClusterUnavailable, EngineError, LimitExceeded, SourceDamaged, StoreUnavailable
from engine.runners import window, work
from engine.runners.exchange import MergeTask, SampleTask, SplitTask
from engine.runners.job import Failure, Job, Task
from engine.runners.tasks import RangesTask
from tests.helpers.engine import Engine
from tests.helpers.spread import SMALL, Spread, spread_over, staged
from tests.helpers.thread_pool import ThreadPool

ROWS = 12_000
PHASES = [(None, RangesTask), ("n", SampleTask), ("n", SplitTask), ("n", MergeTask)]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL)
    engine = Engine(tmp_path / "engine")
    engine.publish(engine.write_parquet(pa.table({"n": Random(3).sample(range(ROWS), ROWS)})))
    return engine


Interfering = Callable[[int, Job, Task], None]


@pytest.fixture
def spread(engine: Engine, tmp_path: Path, interfering: list[Interfering]) -> Iterator[Spread]:
    """What is put into ``interfering`` gets every task before it runs, and its number among those of its kind."""
    seen: dict[type, int] = {}
    lock = threading.Lock()

    def runs(job: Job, task: Task, *inputs: object) -> object:
        with lock:
            number = seen[type(task)] = seen.get(type(task), -1) + 1
        try:
            for one in interfering:
                one(number, job, task)
        except EngineError as error:
            failure = work.failure_of(error)
            return failure if task.returns == 1 else [failure] * task.returns
        return work.work(job, task, *inputs)

    pool = ThreadPool(3, runs)
    yield spread_over(pool, engine, tmp_path / "exports")
    pool.threads.shutdown()


@pytest.fixture
def interfering() -> list[Interfering]:
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


@pytest.mark.parametrize(("sort_by", "kind"), PHASES)
def test_a_straggler_gets_a_twin_and_what_it_writes_is_left_out(
    spread: Spread, interfering: list[Interfering], monkeypatch: pytest.MonkeyPatch, sort_by: str | None, kind: type
) -> None:
    late, free = [], threading.Event()

    def hang(number: int, _: Job, task: Task) -> None:
        if isinstance(task, kind) and number == 0:
            late.append(task)
            free.wait(30)

    monkeypatch.setattr(window, "STRAGGLER_SECONDS", 0.2)
    interfering.append(hang)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by=sort_by)
    started = time.monotonic()
    spread.check(plan)
    assert time.monotonic() - started < 25
    assert len(late) == 1
    # The ghost writes when all is over: into nothing.
    free.set()
    spread.check(plan)


def test_another_version_is_told_with_both(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "versions", lambda: "tailrace 9")
    with pytest.raises(ClusterUnavailable, match=r"tailrace 9 there, tailrace 0.*Install the same"):
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


def test_what_goes_to_a_task_holds_no_credential(spread: Spread, interfering: list[Interfering]) -> None:
    jobs: list[Job] = []
    interfering.append(lambda _number, job, _task: jobs.append(job))
    spread.check(spread.engine.plan(spread.exporter, "csv"))
    sent = pickle.dumps(jobs[0])
    assert b"connection" not in sent
    assert b"account" not in sent.lower()


@pytest.mark.parametrize("error", [StoreUnavailable("s"), SourceDamaged("d"), LimitExceeded("l"), Cancelled("c")])
def test_an_error_comes_back_as_itself(error: EngineError) -> None:
    back = work.error_of(pickle.loads(pickle.dumps(work.failure_of(error))))
    assert (type(back), str(back)) == (type(error), str(error))


def test_an_error_that_nobody_foresaw_is_no_sentence_for_callers() -> None:
    back = work.error_of(work.failure_of(KeyError("a secret path")))
    assert type(back) is RuntimeError
    assert isinstance(work.error_of(Failure("Exception", "x", {})), RuntimeError)
