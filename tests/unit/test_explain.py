"""``tailrace explain`` describes what the plan of a request does."""

from urllib.parse import quote

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from engine.catalog.catalog import PART_CHANGED
from engine.plan.predicate import compile_predicate
from tests.helpers.engine import Engine
from web.cli.terminal.command_group import commands

ROWS = 300_000
GROUPS = 3


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A run of three row groups, in the order of ``n``."""
    engine = Engine(tmp_path_factory.mktemp("explain"))
    numbers = list(range(ROWS))
    table = pa.table({"n": numbers, "even": [n % 2 == 0 for n in numbers], "nothing": pa.nulls(ROWS, pa.string())})
    engine.publish(engine.write_parquet(table), workflow="jobs")
    engine.publish_rows([], "empty", workflow="none", schema=engine.write_schema(n="NUMBER"))
    return engine


@pytest.fixture(autouse=True)
def _settings(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_RESULTS", str(engine.folder / "store"))
    monkeypatch.setenv("TAILRACE_EXPORTS", str(engine.folder / "store"))
    monkeypatch.setenv("TAILRACE_SPILL_DIRECTORY", str(engine.folder / "spill"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["explain", *arguments])


def explain(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


ABOVE = '[{"field":"n","operator":"GREATER_THAN","value":200000}]'


def test_a_skipped_row_group_names_the_filter_and_its_statistics(engine: Engine) -> None:
    said = explain("jobs", f"format=csv&filters={ABOVE}", "--sql")
    plan = engine.plan(engine.exporter(), "csv", workflow="jobs", filters=[
        {"field": "n", "operator": "GREATER_THAN", "value": 200000}
    ])  # fmt: skip
    assert f"export  {plan.export_id} (csv, 3 columns)" in said
    assert "FROM read_parquet($sources, hive_partitioning=false) WHERE file_row_number >= $first_row" in said
    assert compile_predicate(plan.conditions).sql in said
    assert "  $p0 = '200000'" in said
    assert f"  $first_row = {plan.ranges[0].first}" in said
    assert "Row groups: 2 of 3 read, 177,120 rows" in said
    assert "skipped by filters[0] (n GREATER_THAN): n is from 0 to 122879, 0 nulls" in said


def test_the_decisions_come_first_and_the_sql_only_if_asked_for() -> None:
    request = f"filters={ABOVE}"
    said, with_sql = explain("jobs", request), explain("jobs", request, "--sql")
    assert said.index("Row groups: 2 of 3 read") < said.index("Ranges: 1")
    assert "SELECT" not in said
    assert with_sql.startswith(said.rstrip())
    assert "read_parquet" in with_sql
    assert explain("jobs", request, "--range", "0") == with_sql


def test_the_request_is_read_as_in_a_url() -> None:
    encoded = f"format=csv&filters={quote(ABOVE)}"
    assert explain("jobs", f"?{encoded}") == explain("jobs", f"format=csv&filters={ABOVE}")
    assert "'é%ü'" in explain("jobs", 'filters=[{"field":"nothing","operator":"EQUALS","value":"é%25ü"}]', "--sql")


def test_row_ids_skip_row_groups() -> None:
    said = explain("jobs", "rowIds=000000000007", "--sql")
    assert "Row groups: 1 of 3 read" in said
    assert "skipped by rowIds: _row_id is from 000000122880 to" in said
    assert "  $first_row = 7" in said
    assert "  $end_row = 8" in said


def test_many_row_ids_are_abbreviated() -> None:
    said = explain("jobs", "rowIds=" + ",".join(f"id{n}" for n in range(1000)), "--sql")
    assert "'id19', ... 1,000 in total]" in said


def test_row_groups_of_nulls_are_skipped() -> None:
    said = explain("jobs", 'filters=[{"field":"nothing","operator":"IS_NOT_NULL"}]')
    assert "Row groups: 0 of 3 read, 0 rows, 0 bytes" in said
    assert said.count("skipped by filters[0] (nothing IS_NOT_NULL): nothing is null in every row") == GROUPS


def test_row_groups_without_a_decision_are_read() -> None:
    filters = '[{"field":"n","operator":"NOT_EQUALS","value":1}]'
    said = explain("jobs", f"sortBy=n&order=desc&filters={filters}", "--sql")
    assert "Row groups: 3 of 3 read, 300,000 rows" in said
    assert 'ORDER BY "n" DESC NULLS LAST, _position' in said


def test_a_sort_skips_row_groups() -> None:
    said = explain("jobs", f"sortBy=n&filters={ABOVE}")
    assert "Row groups: 2 of 3 read, 177,120 rows" in said
    assert "skipped by filters[0]" in said


def test_the_subranges_of_a_sort_are_listed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = quote('[{"field":"n","operator":"IN","value":[7,250000]}]')
    said = explain("jobs", f"sortBy=n&filters={ends}", "--sql")
    (part,) = engine.plan(engine.exporter(), workflow="jobs").run.parts
    name = part.key.rpartition("/")[2]
    assert f"Ranges: 1\n  0: {name}, rows 0 to 122,880\n     and {name}, rows 245,760 to 300,000\n" in said
    assert "UNION ALL" in said
    assert "Row groups: 2 of 3 read" in said
    monkeypatch.setattr("engine.plan.planner.MAX_SUBRANGES", 1)
    said = explain("jobs", f"sortBy=n&filters={ends}")
    assert f"Ranges: 1\n  0: {name}" in said
    assert "rows 0 to" not in said
    assert "Row groups: 3 of 3 read" in said


def test_row_groups_skipped_by_a_bloom_filter_are_named(engine: Engine) -> None:
    table = pa.table({"key": [f"{n * 7919 % 300007:06}" for n in range(ROWS)]})
    engine.publish(engine.write_parquet(table), workflow="keyed", row_id="key")
    said = explain("keyed", "rowIds=118818")
    assert "Row groups: 1 of 3 read" in said
    assert said.count("skipped by rowIds: the Bloom filter has none of the ids") == 2
    engine.store.delete(next(key for key in engine.keys("workflow=keyed") if key.endswith(".bloom")))
    done = run("keyed", "rowIds=118818")
    assert done.exit_code == 1
    assert PART_CHANGED in str(done.exception)


def test_a_parquet_export_of_a_full_run_has_no_sql() -> None:
    said = explain("jobs", "format=parquet", "--sql")
    assert "SQL of range 0: none; its row groups are copied unchanged." in said


def test_a_run_without_rows() -> None:
    said = explain("none", "format=json")
    assert "0: no file" in said
    assert "Row groups: 0 of 0 read, 0 rows, 0 bytes" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("../jobs",),
        ("jobs", "runId=nope"),
        ("jobs", "sortby=n"),
        ("jobs", "sortBy=nope"),
        ("jobs", "filters=[{]"),
        ("jobs", "", "--team", "rival"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    from web.cli.terminal.command_group import run

    with pytest.raises(SystemExit) as left:
        run(["explain", *arguments])
    told = capsys.readouterr()
    assert (left.value.code, told.out, len(told.err.splitlines())) == (1, "", 1)


def test_an_unknown_range_is_exit_code_2() -> None:
    assert run("jobs", "", "--range", "99").exit_code == 2
    assert run().exit_code == 2
