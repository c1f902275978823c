"""The allow-list and the list of refused functions together are exactly the catalogue of the installed DuckDB."""

import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import duckdb
import pytest

PLACES = {
    "scalar": "expression",
    "aggregate": "expression",
    "window": "expression",
    "macro": "expression",
    "table": "table",
    "table_macro": "table",
    "pragma": "pragma",
}


@pytest.fixture(scope="module")
def groups() -> list[dict[str, Any]]:
    lists = tomllib.loads(files("engine.query.sandbox").joinpath("functions.toml").read_text("utf-8"))
    assert lists.keys() == {"allowed", "refused"}
    every = [{"list": name, **group} for name, groups in lists.items() for group in groups]
    return [group for group in every if duckdb.__version__.startswith(group.get("duckdb", ""))]


def _named(groups: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for group in groups:
        yield from ((group["usage"], name) for name in group["names"])


def test_every_function_is_in_one_list(groups: list[dict[str, Any]]) -> None:
    functions = duckdb.execute("SELECT DISTINCT function_type, function_name FROM duckdb_functions()").fetchall()
    types = duckdb.execute("SELECT DISTINCT lower(type_name) FROM duckdb_types()").fetchall()
    installed = {(PLACES[type_], name) for type_, name in functions} | {("type", name) for (name,) in types}
    listed = Counter(_named([group for group in groups if not group.get("syntax")]))
    assert installed - set(listed) == set(), "decide whether a statement may use them"
    assert set(listed) - installed == set(), "DuckDB has them no longer"
    assert [name for name, times in listed.items() if times > 1] == []


def test_every_group_has_a_reason(groups: list[dict[str, Any]]) -> None:
    assert [group for group in groups if not group.get("why" if group["list"] == "refused" else "what")] == []
    assert [group["names"] for group in groups if group["names"] != sorted(group["names"])] == []


def test_every_aggregate_is_allowed(groups: list[dict[str, Any]]) -> None:
    """`list_aggregate` calls aggregates by a computed name, so it could reach one that is refused."""
    aggregates = duckdb.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
    ).fetchall()
    allowed = {name for usage, name in _named([group for group in groups if group["list"] == "allowed"])}
    assert {name for (name,) in aggregates} - allowed == set()


def test_no_pragma_is_allowed(groups: list[dict[str, Any]]) -> None:
    assert {group["list"] for group in groups if group["usage"] == "pragma"} == {"refused"}
