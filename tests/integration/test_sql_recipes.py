"""Each recipe of ``sql/README.md``, against plain Python."""

import csv
import json
import re
import shlex
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.catalog.manifest import State
from engine.common.chunk import Chunk
from engine.query.inspect.session import Inspection, open_inspection
from engine.query.inspect.statements import Kind
from engine.request.formats import FORMATS
from engine.stores import open_store
from tests.helpers.engine import Engine
from tests.helpers.server import Server

Row = dict[str, Any]

README = Path(__file__).parents[2] / "sql" / "README.md"
CITIES = ("Oslo", "Rome", None)
EXECUTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _job(n: int, **changed: Any) -> Row:
    return {
        "id": f"j{n:02}",
        "title": f"Job {n % 9}",
        "city": CITIES[n % 5 % 3],
        "salary": None if n % 6 == 5 else 100 * n,
        "posted": f"2026-{10 + n % 2}-0{1 + n % 4}",
        "url": f"{'http' if n % 10 == 7 else 'https'}://jobs.example/{n}",
        "tags": ["new", "remote", "night"][: n % 4],
        "pay": {"amount": 250 * n, "currencyCode": ["EUR", "NOK"][n % 2]},
        **changed,
    }


OLD = [{**_job(n), "gone": n} for n in range(20)]
CHANGED: dict[int, Row] = {3: {"salary": 300_000}, 4: {"salary": 400_000, "title": "?"}}
NEW = [_job(n, **CHANGED.get(n, {})) for n in range(2, 24)]
"""Jobs 0 and 1 are removed, 20 to 23 added; the column ``gone`` went."""


def _by_city(rows: list[Row], column: str) -> dict[Any, list[Any]]:
    return {
        city: sorted(row[column] for row in rows if row["city"] == city and row[column] is not None)
        for city in sorted({row["city"] for row in rows}, key=lambda city: (city is None, city))
    }


def _counts(rows: list[Row]) -> list[Row]:
    return [{"city": city, "jobs": sum(row["city"] == city for row in rows)} for city in _by_city(rows, "id")]


def _quartiles(values: list[int]) -> list[int]:
    # The least value that at least this share of all values does not exceed.
    return [values[max(0, -(-len(values) * quarter // 4) - 1)] for quarter in (1, 2, 3)]


def _common() -> list[tuple[Row, Row]]:
    old = {row["id"]: row for row in OLD}
    return [(old[row["id"]], row) for row in NEW if row["id"] in old]


def _changed_fields() -> list[Row]:
    counts = Counter(name for old, new in _common() for name in new if old[name] != new[name])
    return [{"field": name, "rows": rows} for name, rows in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]


def _nulls() -> list[Row]:
    shares = {name: sum(row[name] is None for row in NEW) / len(NEW) for name in NEW[0]}
    return [{"name": name, "share": share} for name, share in sorted(shares.items(), key=lambda one: -one[1]) if share]


def _doubles() -> list[Row]:
    groups: dict[Any, list[str]] = {}
    for row in NEW:
        groups.setdefault((row["title"], row["city"]), []).append(row["id"])
    return [{"title": t, "city": c, "rows": len(ids), "ids": ids} for (t, c), ids in groups.items() if len(ids) > 1]


def _best() -> list[Row]:
    best = []
    for city in _by_city(NEW, "salary"):
        paid = [row for row in NEW if row["city"] == city and row["salary"] is not None]
        paid.sort(key=lambda row: (-row["salary"], row["id"]))
        best += [{"city": city, "id": row["id"], "salary": row["salary"]} for row in paid[:2]]
    return best


def _pivot() -> list[Row]:
    counts = Counter((row["posted"][:7], row["city"]) for row in NEW)
    # A null is no name of a column.
    return [
        {"month": month, **{city: counts[month, city] for city in ("Oslo", "Rome")}} for month in ("2026-10", "2026-11")
    ]


def _running() -> list[Row]:
    days = sorted(Counter(row["posted"] for row in NEW).items())
    totals = accumulate(jobs for _, jobs in days)
    return [{"posted": day, "jobs": jobs, "total": total} for (day, jobs), total in zip(days, totals, strict=True)]


def _tags() -> list[Row]:
    counts = Counter(tag for row in NEW for tag in row["tags"])
    return [{"tag": tag, "jobs": jobs} for tag, jobs in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]


def _totals() -> list[Row]:
    return [
        {"currency": code, "total": sum(r["pay"]["amount"] for r in NEW if r["pay"]["currencyCode"] == code) / 100}
        for code in ("EUR", "NOK")
    ]


def _outliers() -> list[Row]:
    salaries = [row["salary"] for row in NEW if row["salary"] is not None]
    found = [row for row in NEW if row["salary"] is not None and row["salary"] > 3 * statistics.median(salaries)]
    return [{"id": row["id"], "salary": row["salary"]} for row in sorted(found, key=lambda row: -row["salary"])]


def _rises() -> list[Row]:
    rises = [
        {"id": new["id"], "rise": new["salary"] - old["salary"]}
        for old, new in _common()
        if None not in (old["salary"], new["salary"]) and new["salary"] > old["salary"]
    ]
    return sorted(rises, key=lambda row: -row["rise"])


def _cheap() -> list[Row]:
    cheap = [row["salary"] for row in NEW if row["salary"] is not None and row["salary"] <= 500]
    return [{"jobs": len(cheap), "salary": max(cheap)}]


def _stored(engine: Engine) -> list[Row]:
    runs = [engine.results.run(workflow, run) for workflow, run in RUNS]
    sizes = [(run.workflow_id, run.rows, sum(part.bytes for part in run.parts)) for run in runs if run is not None]
    rows = [
        {
            "workflow": workflow,
            "runs": sum(one[0] == workflow for one in sizes),
            "rows": sum(one[1] for one in sizes if one[0] == workflow),
            "bytes": sum(one[2] for one in sizes if one[0] == workflow),
        }
        for workflow in {one[0] for one in sizes}
    ]
    return sorted(rows, key=lambda row: -row["bytes"])


def _part(engine: Engine) -> list[Row]:
    run = engine.results.run("jobs", "2026-11-23")
    assert run is not None
    return [{"run": run.run_id, "file": part.key.rpartition("/")[2]} for part in run.parts]


RUNS = (("jobs", "2026-11-22"), ("jobs", "2026-11-23"), ("prices", "2026-11-24"))

EXPECTED: dict[str, Callable[[Engine], list[Row]]] = {
    "Does a workflow suddenly deliver fewer rows?": lambda _: [
        {"run": "2026-11-22", "rows": 20, "difference": None},
        {"run": "2026-11-23", "rows": 22, "difference": 2},
    ],
    "Which runs did not finish?": lambda _: [{"workflow": "prices", "run": "2026-11-24", "state": "FAILED"}],
    "Which workflows have not been run for a week?": lambda _: [
        {"workflow": "jobs", "run": "2026-11-23", "executed_at": "2026-01-02T03:04:05Z"}
    ],
    "What takes the most space?": _stored,
    "What do the exports of each workflow take?": lambda engine: [
        {"workflow": "jobs", "format": "csv", "exports": 1, "bytes": engine.export("csv", workflow="jobs").size}
    ],
    "Which files can hold a salary above 150,000?": _part,
    "How many rows were added, removed and changed?": lambda _: [
        {"change": "added", "rows": 4},
        {"change": "changed", "rows": len([1 for old, new in _common() if {**old, "gone": 0} != {**new, "gone": 0}])},
        {"change": "removed", "rows": 2},
        {"change": "schema", "rows": 1},
    ],
    "Which fields changed most between two runs?": lambda _: _changed_fields(),
    "Whose salary rose, and by how much?": lambda _: _rises(),
    "What is new since the run before?": lambda _: [
        {"id": row["id"], "title": row["title"]} for row in NEW if row["id"] not in {old["id"] for old in OLD}
    ],
    "Which columns came, went or changed their type?": lambda _: [
        {"column_name": "gone", "before": "BIGINT", "after": None}
    ],
    "Both runs as one table, whatever their columns": lambda _: [
        {"run": name, **counted} for name, rows in (("after", NEW), ("before", OLD)) for counted in _counts(rows)
    ],
    "Which columns are often null?": lambda _: _nulls(),
    "Which values occur twice that should not?": lambda _: _doubles(),
    "Which rows are unlike the others?": lambda _: _outliers(),
    "Which texts do not look as they should?": lambda _: [
        {"id": row["id"], "url": row["url"]} for row in NEW if not row["url"].startswith("https://")
    ],
    "The two best paid jobs of each city": lambda _: _best(),
    "Quartiles by city": lambda _: [
        {"city": city, "quartiles": _quartiles(values)} for city, values in _by_city(NEW, "salary").items()
    ],
    "Cities as columns": lambda _: _pivot(),
    "How often does each tag occur?": lambda _: _tags(),
    "Amounts of an object, by currency": lambda _: _totals(),
    "A running total by day": lambda _: _running(),
    "A table and a variable of this session": lambda _: _cheap(),
}
UNORDERED = {"Which values occur twice that should not?"}


def _blocks(heading: str) -> list[str]:
    """The indented blocks of a section, without their indentation."""
    section = README.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
    return [re.sub(r"(?m)^    ", "", block).strip("\n") for block in blocks]


def _recipes() -> dict[str, str]:
    texts = "\n".join(_blocks("Recipes")).split("-- ")[1:]
    return {text.partition("\n")[0]: text.partition("\n")[2] for text in texts}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Two runs of jobs, a failed one of prices, and an export."""
    folder = tmp_path_factory.mktemp("recipes")
    engine = Engine(folder, open_store(str(folder / "store" / "results")))
    options: dict[str, Any] = {"workflow": "jobs", "row_id": "id"}
    engine.publish_rows(OLD, "2026-11-22", **options, executed_at=EXECUTED - timedelta(days=1))
    engine.publish_rows(NEW, "2026-11-23", **options, executed_at=EXECUTED)
    engine.publish_rows([{"sku": "x"}], "2026-11-24", workflow="prices", state=State.FAILED)
    engine.export("csv", workflow="jobs")
    return engine


@pytest.fixture(scope="module")
def inspection(engine: Engine) -> Iterator[Inspection]:
    """A session over them."""
    with open_inspection(engine.results, engine.store, engine.settings(2)) as inspection:
        yield inspection


def test_every_recipe_has_its_rows() -> None:
    assert _recipes().keys() == EXPECTED.keys()


@pytest.mark.parametrize("title", EXPECTED)
def test_a_recipe(inspection: Inspection, engine: Engine, title: str) -> None:
    chunks: list[Chunk] = []
    for statement in inspection.statements(_recipes()[title]):
        if statement.kind is Kind.CHANGE:
            inspection.rows(statement)
        else:
            inspection.write(statement.text, FORMATS["json"], chunks.append)
    found, expected = json.loads(b"".join(chunks)), EXPECTED[title](engine)
    assert expected
    if title in UNORDERED:
        found, expected = sorted(found, key=repr), sorted(expected, key=repr)
    assert found == expected


def test_the_commands_of_scripts(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "targets.csv").write_text("city,target\nRome,5\nOslo,7\n")
    cheap = "CREATE TEMP TABLE cheap AS SELECT id FROM result('jobs') WHERE salary <= 500;"
    (tmp_path / "recipe.sql").write_text(cheap)
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as connection:
        connection.execute("CREATE TABLE seen AS SELECT 'j05' AS id")
    server = Server((str(engine.folder / "store"), {}), tmp_path)
    [block] = _blocks("From a script")
    answers = []
    for line in block.splitlines():
        # Within double quotes, a shell drops the backslash before a dollar; shlex does not.
        words = shlex.split(line.replace("\\$", "$"))
        assert words.pop(0) == "tailrace"
        done = server.command(*words)
        assert (done.returncode, done.stderr) == (0, "")
        answers.append(done.stdout)
    rome = [row for row in NEW if row["city"] == "Rome"]
    with (tmp_path / "rome.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [r["id"] for r in rome if (r["salary"] or 0) >= 1000]
    counts = {row["city"]: row["jobs"] for row in _counts(NEW)}
    assert answers[1].splitlines()[2:] == [f"| Oslo | {counts['Oslo']} | 7 |", f"| Rome | {counts['Rome']} | 5 |"]
    unseen = json.loads((tmp_path / "unseen.json").read_text())
    assert [row["id"] for row in unseen] == [row["id"] for row in NEW if row["id"] != "j05"]
    expected = [row["id"] for row in NEW if row["salary"] is not None and row["salary"] <= 500]
    assert [row["id"] for row in csv.DictReader(answers[3].splitlines())] == expected
