"""SQL over the rows of runs, as values that statements look up by ``{workflow}/{run}``.

``{workflow}/`` is the latest finished run, and a run that is not finished ends with ``!``. Ids contain neither, so no
argument of a macro matches another entry, and arguments never become part of a statement.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engine.catalog.manifest import ROW_HASH
from engine.catalog.schema import ROW_ID
from engine.common.quoting import identifier, literal
from engine.common.table_functions import read_parquet
from engine.sql.common_types import cell_as, common_types, is_nested

PathOf = Callable[[str], str]
"""Maps the key of a part to a path or URL that DuckDB can open."""

Source = Mapping[str, Any]
"""A row of `manifest_rows.source_row`."""

SELECTS, COLUMNS, FOOTERS, HISTORIES = "selects", "columns", "footers", "histories"
"""What is looked up of a run: the SELECT over its parts; its fields, and what its row ids are; the SELECT over the
footers of its parts. Of a workflow: the SELECT over all of its finished runs.

``ids`` says what the row ids are, ``hashed`` whether the parts have `ROW_HASH`. Of a field: its name, and that as an
identifier; its type, and whether that has members or elements.
"""

_TYPES = {
    SELECTS: "VARCHAR",
    FOOTERS: "VARCHAR",
    HISTORIES: "VARCHAR",
    COLUMNS: (
        "STRUCT(ids VARCHAR, hashed BOOLEAN, fields STRUCT(name VARCHAR, cell VARCHAR, type VARCHAR, nested BOOLEAN)[])"
    ),
}

_NO_FOOTERS = (
    "SELECT NULL::VARCHAR AS file_name, NULL::BIGINT AS row_group_id, NULL::BIGINT AS row_group_num_rows, "
    "NULL::BIGINT AS column_id, NULL::VARCHAR AS path_in_schema, NULL::BIGINT AS total_compressed_size WHERE FALSE"
)

Values = dict[str, dict[str, object]]
"""Entries by what is looked up, and by key."""


def no_values() -> Values:
    """Values without entries."""
    return {name: {} for name in _TYPES}


def add_source(values: Values, source: Source, latest: str | None, path_of: PathOf) -> None:
    """Add the entries of a run; ``latest`` is the id of the workflow's latest run, if it has one."""
    field = source["row_id_field"]
    entry = {
        SELECTS: _select(source, _columns(source), path_of),
        FOOTERS: _footers(source, path_of),
        COLUMNS: {
            "ids": "positions of rows" if field is None else f"values of {field}",
            "hashed": _is_hashed(source),
            "fields": [_field(name, type_) for name, type_ in source["columns"] if name != ROW_ID],
        },
    }
    for key in _keys(source, latest):
        for name, value in entry.items():
            # Only run_diff looks up fields, of runs that are named.
            if name != COLUMNS or not key.endswith("/"):
                values[name][key] = value


def add_history(values: Values, sources: Sequence[Source], path_of: PathOf) -> None:
    """Add the entry of a workflow with these runs; there is none without a finished run."""
    finished = sorted(
        (source for source in sources if source["state"] == "FINISHED"), key=lambda one: (one["at"], one["run"])
    )
    if finished:
        workflow, types = finished[0]["workflow"], common_types(finished)
        values[HISTORIES][workflow] = " UNION ALL BY NAME ".join(
            _select(source, _history_columns(source, types), path_of) for source in finished
        )


def lookup(name: str, entries: str, workflow: str, run: str, failed: str) -> str:
    """SQL for the value of a run, or an error that says that there is no such run.

    ``entries`` is SQL for a JSON object; the others are SQL for the arguments.
    """
    # Cast in two steps: of all entries, only one is parsed in full.
    if name == HISTORIES:
        found = f"map_extract(CAST(CAST({entries} AS JSON) AS MAP(VARCHAR, JSON)), {workflow})[1] ->> '$'"
        message = f"'There is no history of a workflow ' || {workflow} || '; use FROM runs to list the runs.'"
        return f"coalesce({found}, error({message}))"
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
        "nested": is_nested(type_),
    }


def _is_hashed(source: Source) -> bool:
    return bool(source.get("row_hashes") and source["parts"])


def _columns(source: Source) -> str:
    # run_diff replaces this text.
    return f"* EXCLUDE ({', '.join(ROW_HASH)})" if _is_hashed(source) else "*"


def _select(source: Source, columns: str, path_of: PathOf) -> str:
    if source["parts"]:
        return f"SELECT {columns} FROM {read_parquet(_paths(source, path_of))}"  # noqa: S608  # quoted paths
    # A run without rows has no parts, but it has columns.
    nulls = ", ".join(f"CAST(NULL AS {type_}) AS {identifier(name)}" for name, type_ in source["columns"])
    return f"SELECT {columns} FROM (SELECT {nulls} WHERE FALSE)"  # noqa: S608  # quoted names


def _footers(source: Source, path_of: PathOf) -> str:
    return f"FROM parquet_metadata({_paths(source, path_of)})" if source["parts"] else _NO_FOOTERS


def _paths(source: Source, path_of: PathOf) -> str:
    return f"[{', '.join(literal(path_of(key)) for key in source['parts'])}]"


def _history_columns(source: Source, types: Mapping[str, str]) -> str:
    executed = source["executed_at"]
    at = "NULL" if executed is None else literal(f"{executed}Z")
    cells = [cell_as(name, type_, types[name.lower()]) for name, type_ in source["columns"]]
    first = [f"{literal(source['run'])} AS _run_id", f"CAST({at} AS TIMESTAMP WITH TIME ZONE) AS _executed_at"]
    return ", ".join([*first, *cells])
