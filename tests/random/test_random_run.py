"""Publishes, exports, downloads, cancels, kills and faults at random, and what has to hold all the while and after it.

``TAILRACE_OPERATIONS`` says how many, ``TAILRACE_SEED`` which; `make test-long` takes 2,500 and prints what happened.
The seed fixes each operation and its parameters; how they meet is up to the machine.
"""

import gc
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from engine.exports.verify import verify_exports, verify_run
from engine.stores.marker import MARKER_KEYS
from tests.helpers.azurite import Azurite
from tests.helpers.fault_proxy import FaultProxy
from tests.helpers.server import KEY, SIGNING_SECRET
from tests.random.operations import CALM, STORM, Operation
from tests.random.world import MARGIN_SECONDS, WORKFLOWS, World

OPERATIONS = int(os.environ.get("TAILRACE_OPERATIONS", "160"))
SEED = int(os.environ.get("TAILRACE_SEED", "1"))
_TOLD = "TAILRACE_OPERATIONS" in os.environ
_WORKERS = 6
_EPOCH = 40
"""Operations between two looks at everything; calm and storm take turns."""


@pytest.fixture(params=["directory", pytest.param("azure", marks=pytest.mark.azurite)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        if request.param == "directory":
            world = World(str(tmp_path / "store"), tmp_path, None, None)
        else:
            azurite: Azurite = request.getfixturevalue("azurite")
            proxy = stack.enter_context(FaultProxy(azurite.port))
            world = World(f"az://random-{SEED}-{OPERATIONS}/x", tmp_path, azurite.connection_string, proxy)
        for number, workflow in enumerate(WORKFLOWS):
            world.publish(workflow, "first", 50 + number)
            world.rows(workflow, "first")
        for server in world.servers:
            stack.enter_context(server)
        yield world
    gc.collect()


def _epochs(count: int) -> Iterator[tuple[bool, list[tuple[int, Operation]]]]:
    """Whether there is a storm, and the operations with their numbers."""
    for start in range(0, count, _EPOCH):
        stormy = start // _EPOCH % 2 == 1
        table = STORM if stormy else CALM
        numbers = range(start, min(start + _EPOCH, count))
        drawn = random.Random(f"{SEED}-{start}").choices(list(table), list(table.values()), k=len(numbers))
        yield stormy, list(zip(numbers, drawn, strict=True))


def _run(world: World, count: int) -> None:
    def do(item: tuple[int, Operation]) -> None:
        index, operation = item
        operation(world, random.Random(f"{SEED}-{index}"), index)

    checked: set[str] = set()
    for stormy, operations in _epochs(count):
        world.stormy = stormy
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(do, operations))
        world.calm_down()
        world.stormy = False
        _check_visible(world, checked)
        assert world.wrong == []


def _check_visible(world: World, checked: set[str]) -> None:
    """Whatever a reader could see is whole."""
    for workflow in WORKFLOWS:
        for found in verify_exports(world.exports, workflow):
            checked.add(found.key)
            assert found.problem is None, found
        known = world.results.workflow(workflow)
        assert known is not None
        assert known.latest is not None
        assert world.rows(workflow, known.latest.run_id) is not None


def _check_urls(world: World) -> None:
    """Each URL that was ever given out, by both services: its bytes, or that its time is over."""
    for server in world.servers:
        for promise in world.promises:
            left = promise.expires - time.time()
            answer = server.request(world.elsewhere(promise.url, server))
            if left > MARGIN_SECONDS:
                assert answer.status == 200, (answer, promise)
            if answer.status == 200:
                assert left > 0
                world.check_content(promise, answer.body)
                world.note("in the end: whole")
            else:
                assert left < MARGIN_SECONDS
                assert (answer.status, answer.json()["code"]) == (401, "url_expired")
                world.note("in the end: expired")


def _check_leftovers(world: World) -> None:
    """What was killed left files, which a sweep removes; then nothing is left but the runs, which are whole."""
    killed = world.seen["killed"]
    staging = [world.root / name / ".staging" for name in ("exports", "results")] if world.root else []
    left = [path for folder in staging for path in folder.glob("*")]
    assert not left or killed
    swept = world.sweep(timedelta(days=10))
    assert swept.remaining == 0
    assert [info.key for info in world.exports.list("") if info.key not in MARKER_KEYS.values()] == []
    assert [path for folder in staging for path in folder.glob("*")] == []
    for workflow in WORKFLOWS:
        for run in world.results.runs(workflow):
            assert [found for found in verify_run(world.results, run) if found.problem] == []


def _check_logs(world: World) -> None:
    for server in world.servers:
        log = server.log.read_text()
        assert not any(secret in log for secret in (KEY, SIGNING_SECRET, "sig="))


def test_nothing_is_lost_and_nothing_half_written_is_seen(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    count = OPERATIONS if world.proxy else OPERATIONS // 2
    _run(world, count)
    _check_urls(world)
    _check_logs(world)
    _check_leftovers(world)
    assert world.wrong == []
    for what in ("export: done", "download: whole", "range: done", "later: done", "publish: done"):
        assert world.seen[what], what
    if _TOLD:
        with capsys.disabled():
            store = "Azure" if world.proxy else "directory"
            seconds = time.monotonic() - started
            sys.stdout.write(f"\n{store}: {count:,} operations, seed {SEED}, {seconds:.0f} s, ")
            sys.stdout.write(f"{len(world.promises):,} URLs given out\n")
            sys.stdout.writelines(f"  {what}: {number:,}\n" for what, number in sorted(world.seen.items()))
