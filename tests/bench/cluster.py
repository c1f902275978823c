"""``make bench-cluster``: the cluster's runner beside this process on the same cores, and what its driver costs.

Ratios come from alternating rounds; each pair's files have to be equal by their hash.
"""

import argparse
import hashlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from engine.catalog.catalog import ResultStore
from engine.common.cancellation import CancelToken
from engine.exports.export import export_key
from engine.exports.exporter import Exporter
from engine.plan.planner import ExportPlan
from engine.runners import LocalRunner, Runner
from engine.runners.ray.client import RayClientRunner
from engine.runners.ray.driver_process import Driver
from engine.runners.ray.runner import LocatedStore
from engine.runners.size_router import SizeRouter
from engine.settings import DuckDBSettings, StorageSettings
from engine.stores import DirectoryStore
from tests.bench.cluster_driver import measured, shuffled, simulate
from tests.bench.data import RESULTS, dataset, publish
from tests.bench.memory import MemoryInUse
from tests.bench.settings import FOLDER
from tests.helpers.engine import TEAM, entry, request
from tests.helpers.ray_cluster import RayCluster

_FILTER = {"filters": [entry("quantity", "GREATER_THAN_OR_EQUAL", 1000)]}
_FEW: dict[str, Any] = {"filters": [entry("id", "LESS_THAN", 300_000)]}
_SORTS: dict[str, tuple[str, dict[str, Any], float]] = {
    "CSV by title": ("csv", {"sort_by": "title"}, 1.6),
    "JSON by price": ("json", {"sort_by": "price", "descending": True}, 1.6),
    "Parquet by quantity": ("parquet", {"sort_by": "quantity"}, 1.6),
}
CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    "CSV": ("csv", {}, 1.25),
    "JSON": ("json", {}, 1.25),
    "Parquet, filtered": ("parquet", _FILTER, 1.25),
    "Parquet, row groups": ("parquet", {}, 1.25),
    **_SORTS,
}
"""What is exported, and how many times as long it may take on the cluster."""


@dataclass(frozen=True)
class Side:
    """One runner and the store that it writes."""

    exporter: Exporter
    store: DirectoryStore

    def run(self, plan: ExportPlan) -> tuple[float, str | None, int]:
        """Seconds, hash and bytes of one export, which is removed."""
        started = time.perf_counter()
        made = self.exporter.export(plan, CancelToken())
        seconds = time.perf_counter() - started
        self.store.delete(export_key(plan.run.workflow_id, plan.export_id, plan.request.format))
        return seconds, made.sha256, made.size


def compare(rows: int, rounds: int, names: list[str]) -> None:
    """Print a line for each case."""
    seed = 1
    data = dataset(rows, seed) or publish(rows, seed)
    with (
        RayCluster() as cluster,
        closing(Driver(cluster.address)) as driver,
        MemoryInUse(kept=True) as memory,
    ):
        os.environ.update(cluster.access)
        settings = DuckDBSettings(threads=2, spill_directory=FOLDER / "spill")
        here = _side(FOLDER / "exports-here", settings, lambda store: LocalRunner(_results().store, store, settings))
        storage = StorageSettings(results=str(RESULTS), exports=str(FOLDER / "exports-cluster"))

        def on_cluster(store: DirectoryStore) -> Runner:
            client = RayClientRunner(driver, store, storage, settings)
            # As a service has it; no export is too small.
            return SizeRouter(LocalRunner(_results().store, store, settings), client, 0)

        there = _side(FOLDER / "exports-cluster", settings, on_cluster)
        first = here.exporter.plan(request("csv", workflow=data.workflow, **_FEW), TEAM)
        seconds = [there.run(first)[0] for _ in range(2)]
        say(f"An export of 300,000 rows: {seconds[0]:.1f} s with the start of the driver, then {seconds[1]:.2f} s\n")
        say("| export | file | here | cluster | ratio | goal | |\n" + "|---" * 7 + "|")
        for name in names:
            format_name, asked, goal = CASES[name]
            plan = here.exporter.plan(request(format_name, workflow=data.workflow, **asked), TEAM)
            found: list[tuple[float, float]] = []
            for _ in range(rounds):
                memory.bring()
                one = here.run(plan)
                memory.bring()
                other = there.run(plan)
                if one[1:] != other[1:]:
                    raise SystemExit(f"{name}: the files differ: {one[1:]} here, {other[1:]} on the cluster")
                found.append((one[0], other[0]))
            ours, theirs = (statistics.median(column) for column in zip(*found, strict=True))
            ratio = statistics.median(other / one for one, other in found)
            say(
                f"| {name} | {one[2] / 1e6:,.0f} MB | {ours:.1f} s | {theirs:.1f} s | {ratio:.2f}x | {goal}x | "
                f"{'met' if ratio <= goal else 'not met'} |"
            )
        say("\nEvery pair of files has the same SHA-256.")
        plan = here.exporter.plan(request("parquet", workflow=data.workflow, sort_by="quantity"), TEAM)
        places = (
            LocatedStore(str(RESULTS), _results().store),
            LocatedStore(str(FOLDER / "exports-cluster"), there.store),
        )
        say(shuffled(*places, settings, plan))
        say("\n".join(measured(cluster.address, cluster.raylets)))


def _side(folder: Path, settings: DuckDBSettings, runner: Callable[[DirectoryStore], Runner]) -> Side:
    store = DirectoryStore(folder)
    return Side(Exporter(_results(), store, settings, runner=runner(store)), store)


def _results() -> ResultStore:
    return ResultStore(DirectoryStore(RESULTS))


def hashing() -> float:
    """Bytes a second of SHA-256 in one thread."""
    block, hasher = b"x" * (64 << 20), hashlib.sha256()
    started = time.perf_counter()
    for _ in range(8):
        hasher.update(block)
    return 8 * len(block) / (time.perf_counter() - started)


def say(text: str) -> None:
    """A line for the reader."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default=";".join(CASES), help="names of cases, separated by semicolons")
    parser.add_argument("--ranges", type=int, default=50_000, help="ranges of the simulated driver")
    asked = parser.parse_args()
    say(f"SHA-256: {hashing() / 1e9:.2f} GB a second")
    for sort_by in (None, "column0"):
        # Each in a process that has had no other.
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            say("\n".join(apart.submit(simulate, asked.ranges, sort_by).result()))
    say(f"{asked.rows:,} rows, 2 cores")
    names = [name for name in CASES if name in asked.cases.split(";")]
    compare(asked.rows, asked.rounds, names)


if __name__ == "__main__":
    main()
