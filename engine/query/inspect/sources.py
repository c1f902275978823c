"""SQL over the rows of runs, as values that statements look up by ``{workflow}/{run}``.

``{workflow}/`` is the latest finished run, and a run that is not finished ends with ``!``. Ids contain neither, so no
argument of a macro matches another entry, and arguments never become part of a statement.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.catalog.schema import ROW_ID
from engine.common.quoting import identifier, literal
from engine.common.table_functions import read_parquet

PathOf = Callable[[str], str]
"""Maps the key of a part to a path or URL that DuckDB can open."""

Source = Mapping[str, Any]
"""A row of `manifest_rows.source_row`."""

SELECTS, COLUMNS = "selects", "columns"
"""What is looked up of a run: the SELECT over its parts; its fields, and what its row ids are.

``ids`` says what the row ids are. Of a field: its name, and that as an identifier; its type, and whether that has
members or elements.
"""

_TYPES = {
    SELECTS: "VARCHAR",
    COLUMNS: "STRUCT(ids VARCHAR, fields STRUCT(name VARCHAR, cell VARCHAR, type VARCHAR, nested BOOLEAN)[])",
}

Values = dict[str, dict[str, object]]
"""Entries by what is looked up, and by key."""


def no_values() -> Values:
    """Values without entries."""
    return {name: {} for name in _TYPES}


def add_source(values: Values, source: Source, latest: str | None, path_of: PathOf) -> None:
    """Add the entries of a run; ``latest`` is the id of the workflow's latest run, if it has one."""
    field = source["row_id_field"]
    entry = {
        SELECTS: _select(source, path_of),
        COLUMNS: {
            "ids": "positions of rows" if field is None else f"values of {field}",
            "fields": [_field(name, type_) for name, type_ in source["columns"] if name != ROW_ID],
        },
    }
    for key in _keys(source, latest):
        for name, value in entry.items():
            values[name][key] = value


def lookup(name: str, entries: str, workflow: str, run: str, failed: str) -> str:
    """SQL for the value of a run, or an error that says that there is no such run.

    ``entries`` is SQL for a JSON object; the others are SQL for the arguments.
    """
    # Cast in two steps: of all entries, only one is parsed in full.
    key = f"{workflow} || '/' || coalesce({run}, '') || CASE WHEN {failed} THEN '!' ELSE '' END"
    found = f"map_extract(CAST(CAST({entries} AS JSON) AS MAP(VARCHAR, JSON)), {key})[1]"
    kind = f"CASE WHEN {failed} THEN 'failed' ELSE 'finished' END"
    message = (
        f"'There is no ' || {kind} || ' run ' || coalesce({run} || ' ', '') || 'of a workflow ' || {workflow}"
        " || '; use FROM runs to list the runs.'"
    )
    value = f"{found} ->> '$'" if _TYPES[name] == "VARCHAR" else f"CAST({found} AS {_TYPES[name]})"
    return f"coalesce({value}, error({message}))"


def _keys(source: Source, latest: str | None) -> Iterator[str]:
    workflow, run = source["workflow"], source["run"]
    if source["state"] != "FINISHED":
        yield f"{workflow}/{run}!"
        return
    yield f"{workflow}/{run}"
    if run == latest:
        yield f"{workflow}/"


def _field(name: str, type_: str) -> dict[str, object]:
    return {
        "name": name,
        "cell": identifier(name),
        "type": type_,
        "nested": type_.endswith("]") or type_.startswith(("STRUCT(", "MAP(")),
    }


def _select(source: Source, path_of: PathOf) -> str:
    if source["parts"]:
        paths = ", ".join(literal(path_of(key)) for key in source["parts"])
        return f"SELECT * FROM {read_parquet(f'[{paths}]')}"  # noqa: S608  # quoted paths
    # A run without rows has no parts, but it has columns.
    nulls = ", ".join(f"CAST(NULL AS {type_}) AS {identifier(name)}" for name, type_ in source["columns"])
    return f"SELECT {nulls} WHERE FALSE"
