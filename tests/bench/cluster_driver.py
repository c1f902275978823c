"""What a driver costs by itself: tasks that do nothing, and a plan of many ranges whose tasks are made up."""

import os
import pickle
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from pickle import PickleBuffer
from typing import ClassVar

from engine.catalog.manifest import ColumnStatistics, Part, RowGroup, Run, State
from engine.catalog.schema import Field, Schema
from engine.catalog.types import TEXT
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.plan.planner import ExportPlan, make_plan
from engine.request.formats import FORMATS
from engine.request.request import ExportRequest
from engine.runners.ray.client import without_statistics
from engine.runners.ray.messages import Block, Job, Segment, Task, versions
from engine.runners.ray.pool_port import ResultRef, TaskSession
from engine.runners.ray.runner import ClusterRunner, LocatedStore
from engine.runners.ray.sort.key_tasks import KeySample, SampleTask
from engine.runners.ray.sort.shuffle_tasks import SplitTask
from engine.runners.ray.worker import run_task
from engine.settings import DuckDBSettings
from engine.stores.crc64 import crc64nvme
from tests.bench.null_store import NullStore
from tests.bench.settings import ROOT
from tests.helpers.thread_pool import ThreadPool

_TASKS = 3_000
_SPLITS = 40
_SLICE_BYTES = 128 * 1024
"""What is below 100 KiB is kept by the driver itself."""
_GROUPS_OF_PART = 100
_COLUMNS = 11


@dataclass(frozen=True)
class Nothing:
    """A task that does nothing."""

    returns: ClassVar[int] = 1

    def run(self, job: Job, inputs: Sequence[object]) -> int:
        """Tell that it ran."""
        del job, inputs
        return 0


@dataclass(frozen=True)
class Slices:
    """A task with as many results as a split has, each large enough to lie in the cluster's memory."""

    returns: ClassVar[int] = 200

    def run(self, job: Job, inputs: Sequence[object]) -> list[PickleBuffer]:
        """Slices of zeros."""
        del job, inputs
        return [PickleBuffer(bytearray(_SLICE_BYTES)) for _ in range(self.returns)]


def measured(address: str, raylets: Sequence[int]) -> list[str]:
    """Lines of what tasks and slices cost a driver's session, in a process of its own as a driver is.

    ``raylets`` are the processes of the cluster's nodes.
    """
    command = [sys.executable, "-m", "tests.bench.cluster_driver", address, *map(str, raylets)]
    found = subprocess.run(command, cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True)
    return found.stdout.splitlines()


def simulate(ranges: int, sort_by: str | None = None) -> list[str]:
    """Plan and drive an export of so many ranges of 4 MiB; tasks answer at once: blocks, keys and slices of few bytes.

    Lines of what it took.
    """
    before = _resident()
    groups = ranges * 4
    statistic = ColumnStatistics(minimum="a", maximum="b", nulls=0)
    statistics = {f"column{number}": statistic for number in range(_COLUMNS)}
    parts = tuple(
        Part(
            key=f"workflow=w/run=r/part-{number:05d}-0123456789ab.parquet",
            rows=_GROUPS_OF_PART * 122_880,
            bytes=_GROUPS_OF_PART << 20,
            sha256="0" * 64,
            etag="0" * 20,
            row_groups=tuple(
                RowGroup(rows=122_880, bytes=1 << 20, statistics=statistics) for _ in range(_GROUPS_OF_PART)
            ),
        )
        for number in range(groups // _GROUPS_OF_PART)
    )
    now = datetime.now(UTC)
    fields = (Field(name=f"column{number}", data_type="STRING", type=TEXT) for number in range(_COLUMNS))
    run = Run(
        workflow_id="w", run_id="r", version="v", state=State.FINISHED, table=Schema.of(*fields),
        rows=groups * 122_880, row_id_field=None, parts=parts, started_at=now, executed_at=now, published_at=now,
    )  # fmt: skip
    manifest = _resident()
    started = time.perf_counter()
    plan = make_plan(ExportRequest(workflow="w", format=FORMATS["csv"], sort_by=sort_by), run, now=now)
    planned = time.perf_counter()
    pool = ThreadPool(2, _answer)
    settings = DuckDBSettings(threads=2)
    runner = ClusterRunner(LocatedStore("az://r/x", NullStore()), LocatedStore("az://e/x", NullStore()), settings, pool)
    with runner.stage(plan, "w/x.csv", CancelToken(), Progress()) as staged:
        driven = time.perf_counter()
        memory = _resident()
        staged.commit({})
    pool.threads.shutdown()
    unpacked = time.perf_counter()
    order = len(pickle.dumps(without_statistics(plan)))
    packed = time.perf_counter() - unpacked
    kind = " of a sort" if sort_by else ""
    size = groups * 2**20 / 1e12
    grown = memory - manifest
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        f"{len(plan.scan_ranges):,} ranges ({size:.2f} TB of Parquet) in {pool.submitted:,} tasks{kind}: "
        f"planned in {planned - started:.1f} s, driven in {driven - planned:.1f} s",
        f"order to the driver: {order / 1e6:,.1f} MB, packed in {packed:.1f} s",
        f"memory: manifest {(manifest - before) / 1e6:,.0f} MB, plan and driver {grown / 1e6:,.0f} MB, "
        f"that is {grown / len(plan.scan_ranges):,.0f} bytes a range; peak {peak:,.0f} MB",
    ]


def shuffled(results: LocatedStore, exports: LocatedStore, settings: DuckDBSettings, plan: ExportPlan) -> str:
    """A line of what the slices of a sort take. Its tasks run here, and nothing is committed."""
    sizes: list[int] = []

    def runs(job: Job, task: Task, *inputs: object) -> object:
        found = run_task(job, task, *inputs)
        if isinstance(task, SplitTask) and isinstance(found, list):
            sizes.extend(one.raw().nbytes for one in found[1:])
        return found

    pool = ThreadPool(2, runs)
    with ClusterRunner(results, exports, settings, pool).stage(plan, "w/x", CancelToken(), Progress()):
        pool.threads.shutdown()
    source = sum(part.bytes for part in plan.run.parts)
    return (
        f"Shuffle of a sort of {plan.run.rows:,} rows: {len(sizes)} slices, {sum(sizes) / 1e6:,.0f} MB "
        f"for parts of {source / 1e6:,.0f} MB, {sum(sizes) / source:.2f}x"
    )


def _answer(job: Job, task: Task, *inputs: object) -> object:
    del job, inputs
    block = b"row"
    if isinstance(task, SampleTask):
        return KeySample(tuple(os.urandom(16) for _ in range(100)), 1_000)
    if isinstance(task, SplitTask):
        return [[1] * task.buckets, *(PickleBuffer(block) for _ in range(task.buckets))]
    staged = Block(f"{id(task):017x}"[-17:], len(block), crc64nvme(block))
    return Segment((staged,) * 4, (PickleBuffer(block),) * 4, 1)


def _resident() -> int:
    with open("/proc/self/statm") as status:  # noqa: PTH123  # no file, but a question
        return int(status.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _own(pids: Sequence[int]) -> int:
    """Bytes of memory that processes share with nobody, as the slices in a cluster's memory are."""
    found = (re.search(r"RssAnon:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text()) for pid in pids)
    return sum(int(one[1]) * 1024 for one in found if one)


def _run(session: TaskSession, task: Task, count: int) -> list[ResultRef]:
    """So many of the task; their tickets when all have ended."""
    tickets = [one for _ in range(count) for one in session.submit(task)]
    left = tickets
    while left:
        done = set(session.ready(left, 1))
        left = [one for one in left if one not in done]
    return tickets


def main(address: str, raylets: Sequence[int]) -> None:
    """Print the tasks of nothing that a session runs a second, and what is kept of slices that are held."""
    from engine.runners.ray.ray_pool import RayPool

    settings = DuckDBSettings(threads=1)
    job = Job(versions(), "", "", "", "", "csv", False, {}, datetime.now(UTC), settings, ())
    session = RayPool(address).session(job)
    for count in (200, _TASKS):
        started = time.perf_counter()
        _run(session, Nothing(), count)
        seconds = time.perf_counter() - started
    sys.stdout.write(f"Tasks of nothing: {_TASKS / seconds:,.0f} a second\n")
    held = _run(session, Slices(), 1)
    before = _own([os.getpid()]), _own(raylets)
    held += _run(session, Slices(), _SPLITS)
    driver, nodes = _own([os.getpid()]) - before[0], _own(raylets) - before[1]
    slices = _SPLITS * Slices.returns
    sys.stdout.write(
        f"{slices:,} slices of {_SLICE_BYTES // 1024} KiB that are held: "
        f"{driver / slices:,.0f} bytes each in the driver, {nodes / slices:,.0f} in the raylets\n"
    )


if __name__ == "__main__":
    main(sys.argv[1], [int(pid) for pid in sys.argv[2:]])
