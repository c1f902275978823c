"""Goal 13: a page of a team's workflows, of many, from a directory and from Azurite."""

import signal
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.bench import SCRATCH, Bench
from tests.bench.data import RESULTS, Dataset
from tests.bench.emulator import Emulator
from tests.bench.ideal import CONTAINER
from tests.bench.outcome import Line, spread_of
from tests.bench.progress import cost_of
from tests.bench.service import Client, Service
from tests.bench.settings import SMALL_ROWS, Settings

GOALS = (13,)
_PAGE = 25
_MOST_SECONDS = {"directory": 0.050, "Azurite": 0.150}
_WRITERS = 8
_TIMES = 3
_OBJECTS_COST = 300
"""What making one workflow costs, as a number of exported rows."""


def cost(settings: Settings) -> int:
    """What the measurements of this file cost."""
    return 2 * (settings.workflows * _OBJECTS_COST + cost_of(0, settings.rounds * _TIMES))


def run(bench: Bench) -> list[Line]:
    """The first page, again and again; the service has no other work."""
    folder = SCRATCH / "lists"
    lines = [_line(bench, "directory", str(folder), "")]
    bench.clean()
    with Emulator() as emulator:
        lines.append(_line(bench, "Azurite", f"az://{CONTAINER}/lists", emulator.connection_string))
    return lines


def _line(bench: Bench, where: str, results: str, connection_string: str) -> Line:
    count = bench.settings.workflows
    objects = fill(results, connection_string, bench.data(SMALL_ROWS), count)
    bench.progress.step(f"lists, {where} | {objects:,} objects are there", count * _OBJECTS_COST)
    service = Service(connection_string, results=results)
    service.start()
    times = []
    try:
        client = Client(service)
        for _ in range(1 + bench.settings.rounds * _TIMES):
            took, answer = client.get(f"/v4/workflows?limit={_PAGE}")
            if len(answer["workflows"]) != _PAGE or answer["pagination"]["totalCount"] != count:
                raise RuntimeError(f"the service listed {len(answer['workflows'])} workflows: {answer['pagination']}")
            times.append(took)
            bench.progress.step(f"lists, {where} | {took * 1000:.0f} ms", cost_of(0, 1))
        client.close()
    finally:
        service.stop(signal.SIGTERM)
    median, most = statistics.median(times[1:]), _MOST_SECONDS[where]
    return Line(
        13,
        f"a list of {_PAGE} workflows of {count:,}, from {'a ' * (where == 'directory')}{where}",
        f"<= {most * 1000:.0f} ms",
        ours=spread_of(times[1:]),
        figure=f"{median * 1000:.0f} ms",
        met=median <= most,
        note=f"{objects:,} objects in the store; the first request took {times[0] * 1000:.0f} ms",
        facts={"times": times, "objects": objects},
    )


def fill(results: str, connection_string: str, data: Dataset, count: int) -> int:
    """Copies of a published workflow by other names, and the number of objects. Parts are empty: a list reads none.

    They are written as objects, not published; an index that publishing keeps has to be rebuilt after this.
    """
    # Here, because the program that measures has to stay small.
    from engine.stores import open_store

    store = open_store(results, connection_string=connection_string or None)
    objects = dict(_objects(RESULTS / f"workflow={data.workflow}", RESULTS))

    def copy(number: int) -> None:
        name = f"copy-{number:06d}"
        for key, content in objects.items():
            text = content.replace(data.workflow.encode(), name.encode())
            store.create(key.replace(data.workflow, name), text, content_type="application/json", metadata={})

    with ThreadPoolExecutor(_WRITERS) as pool:
        for _ in pool.map(copy, range(count)):
            pass
    return count * len(objects)


def _objects(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(root)), path.read_bytes() if path.suffix == ".json" else b""
