"""What the benchmark makes of its samples: who is the best, what is met, and which outputs are wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from tests.bench import report
from tests.bench.contenders import CHDB, DUCKDB_AZURE, ENCODE_ONLY, OURS, POLARS, Contender
from tests.bench.goals import growth
from tests.bench.job import Job
from tests.bench.outcome import FAILED, NO_PEER, Line, against_other, against_peers
from tests.bench.process import Sample
from tests.bench.series import Series
from tests.bench.settings import Settings
from tests.bench.verify import compare

ROWS = 50


def series(contender: Contender, *works: float, error: str = "", peak_mb: float = 0.0) -> Series:
    return Series(contender, [Sample(work=work, peak_mb=peak_mb) for work in works], error)


def test_the_best_peer_is_the_one_with_the_least_median() -> None:
    measured = [series(OURS, 2, 1, 9), series(POLARS, 3, 4, 5), series(CHDB, 1, 5, 6), series(ENCODE_ONLY, 0.1)]
    line = against_peers(1, "work", measured, least=2.0)
    assert (line.ours, line.best) == ("2.00 s (1.00 s - 9.00 s)", "Polars sink: 4.00 s (3.00 s - 5.00 s)")
    assert (line.figure, line.met, line.note) == ("2.00x", True, "")
    assert against_peers(1, "work", measured, least=2.01).met is False


def test_a_peer_that_failed_is_told_and_no_rival() -> None:
    failed = series(POLARS, 0.1, error="its output is not sorted")
    line = against_peers(5, "work", [series(OURS, 2), failed, series(CHDB, 3)], least=1.0)
    assert (line.figure, line.note) == ("1.50x", "Polars sink could not be measured: its output is not sorted")
    alone = against_peers(5, "work", [series(OURS, 2), failed], least=1.0)
    assert (alone.best, alone.met) == (NO_PEER, None)


def test_we_are_not_met_by_failing() -> None:
    line = against_peers(1, "work", [series(OURS, error="exit 1"), series(POLARS, 3)], least=1.0)
    assert (line.ours, line.met, line.note) == (FAILED, False, "exit 1")


def test_every_peer_has_a_place_in_each_line() -> None:
    first = against_peers(1, "a", [series(OURS, 1), series(POLARS, 3)], least=1.0)
    second = against_peers(3, "b", [series(OURS, 1), series(DUCKDB_AZURE, error="gone")], least=1.0)
    other = Line(8, "c", "")
    rows = report.everyone([{**line.summary(), "code": ""} for line in (first, second, other)]).splitlines()
    assert rows[2:] == ["| 1 | a | 1.00 s | 3.00 s | - |", "| 3 | b | 1.00 s | - | failed |"]


def test_our_own_parts_are_an_upper_bound() -> None:
    line = against_other(2, "work", series(OURS, 6), series(ENCODE_ONLY, 5), most=1.2)
    assert (line.figure, line.met) == ("1.20x", True)
    assert against_other(2, "work", series(OURS, 6), series(ENCODE_ONLY, 5), most=1.19).met is False
    failed = against_other(2, "work", series(OURS, error="exit 1"), series(ENCODE_ONLY, 5), most=1.2)
    assert (failed.ours, failed.met) == (FAILED, False)
    assert against_other(2, "work", series(OURS, 6), series(ENCODE_ONLY, error="exit 1"), most=1.2).met is None


def test_the_first_line_says_where_peers_are_faster() -> None:
    lines = [
        against_peers(1, "a", [series(OURS, 2), series(POLARS, 1)], least=0.1),
        against_peers(1, "b", [series(OURS, 4), series(CHDB, 1)], least=0.1),
        against_peers(1, "c", [series(OURS, 1), series(CHDB, 1)], least=0.1),
        against_other(2, "d", series(OURS, 6), series(ENCODE_ONLY, 5), most=1.15),
    ]
    first = report.table([{**line.summary(), "code": ""} for line in lines]).splitlines()[0]
    assert first == (
        "**A peer is faster in 2 of 3 comparisons**: b: chDB azureBlobStorage(), 4.00 times as fast; "
        "a: Polars sink, 2.00 times as fast."
    )


def test_the_largest_peak_is_of_ours_and_of_exports() -> None:
    lines = [
        against_peers(1, "a", [series(OURS, 2, peak_mb=200), series(POLARS, 1, peak_mb=900)], least=1),
        against_peers(3, "client", [series(OURS, 2, peak_mb=800), series(POLARS, 1)], least=1),
        against_peers(5, "b", [series(OURS, 2, peak_mb=301), series(POLARS, 1)], least=1),
    ]
    line = report.of_memory([one.summary() for one in lines])
    assert line is not None
    assert (line.ours, line.met, line.note) == ("301 MB", False, "in: b")
    assert report.of_memory([lines[1].summary()]) is None


@pytest.mark.parametrize(("walls", "exponent", "met"), [((1, 10, 50), "1.000", True), ((1, 100, 2500), "2.000", False)])
def test_growth_is_an_exponent(walls: tuple[float, ...], exponent: str, met: bool) -> None:
    line = growth.of_time(dict(zip((10, 100, 500), (series(OURS, wall) for wall in walls), strict=True)), "")
    assert (line.figure, line.met) == (exponent, met)


def test_the_last_step_of_growth_counts() -> None:
    line = growth.of_time({10: series(OURS, 5), 100: series(OURS, 5.5), 500: series(OURS, 40)}, "")
    assert float(line.figure) < 1.05
    assert line.met is False


def _settings(**changed: Any) -> Settings:
    return Settings(**{"rows": 10_000, "rounds": 1, "goals": (1, 6), "formats": ("csv",), **changed})


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, str]]]:
    """The lines of a report of all goals that a run with these settings keeps."""
    monkeypatch.setattr(Settings, "folder", tmp_path)
    lines = [Line(1, "a", "", format="csv"), Line(1, "b", "", format="json"), Line(6, "c", ""), Line(8, "d", "")]
    report.write(_settings(), {"cores": 2, "tailrace": "1"}, lines, [], took=1.0)

    def found(machine: dict[str, Any] | None = None, **changed: Any) -> list[tuple[int, str]]:
        machine = {"cores": 2, "tailrace": "2"} | (machine or {})
        return [(line["goal"], line["format"]) for line in report.earlier(_settings(**changed), machine)]

    return found


def test_a_report_keeps_what_is_not_measured_again(kept: Callable[..., list[tuple[int, str]]]) -> None:
    assert kept() == [(1, "json"), (8, "")]
    assert kept(goals=(8,)) == [(1, "csv"), (1, "json"), (6, "")]
    assert kept(rows=20_000) == kept(rounds=2) == kept({"cores": 4}) == []


def test_lines_of_other_code_that_say_less_are_not_kept(
    tmp_path: Path, kept: Callable[..., list[tuple[int, str]]]
) -> None:
    told = json.loads((tmp_path / "report.json").read_text())
    del told["lines"][3]["facts"]
    (tmp_path / "report.json").write_text(json.dumps(told))
    assert kept() == [(1, "json")]


def _table() -> pa.Table:
    return pa.table(
        {
            "id": range(ROWS),
            "batch": [number // 10 for number in range(ROWS)],
            "title": [f"t{number}" for number in range(ROWS)],
            "rating": [number / 4 for number in range(ROWS)],
        }
    )


def _verdict(folder: Path, output: pa.Table, **options: Any) -> str:
    part, file = folder / "part.parquet", folder / "out.csv"
    pyarrow.parquet.write_table(_table(), part)
    pyarrow.csv.write_csv(output, file)
    job = Job(
        format="csv",
        parts=[str(part)],
        results="",
        workflow="",
        connection_string="",
        endpoint="",
        account="",
        key="",
        container="",
        scratch="",
        exports="",
    )
    return compare(job.but(**options), file)


def test_an_output_that_is_right_passes(tmp_path: Path) -> None:
    assert _verdict(tmp_path, _table()) == ""
    assert _verdict(tmp_path, _table().slice(10, 20), between=("batch", 1, 2)) == ""
    assert _verdict(tmp_path, _table().take([3, 7]), ids=[3, 7]) == ""
    assert _verdict(tmp_path, _table(), sort="rating") == ""


WRONG: dict[str, Callable[[pa.Table], pa.Table]] = {
    "a row fewer": lambda table: table.slice(1),
    "a row twice": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
    "another title": lambda table: table.set_column(2, "title", [["x0", *table["title"].to_pylist()[1:]]]),
    "titles of other rows": lambda table: table.set_column(0, "id", [[0, 0, *range(2, ROWS)]]),
    "row ids": lambda table: table.append_column("_row_id", [["x"] * ROWS]),
    "no order": lambda table: table.take([1, 0, *range(2, ROWS)]),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_output_that_is_wrong_is_told(tmp_path: Path, what: str) -> None:
    assert _verdict(tmp_path, WRONG[what](_table()), sort="rating")
