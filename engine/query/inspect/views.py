"""Create the views and macros of ``sql/`` over a snapshot, in a session or in a database file without any tables.

Their text has ``$kind({...})`` for the rows of a kind with these columns, by name and type, and
``$name(workflow, run, failed)`` for what is looked up of a run (`sources`). A session reads both when a statement asks
for them. A file has them as literals, within each macro: a macro of an attached database finds no others of that
database.
"""

import json
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import duckdb

from engine.common.quoting import identifier, literal
from engine.common.table_functions import exact_path
from engine.errors import InvalidInput
from engine.query.inspect.catalog_files import CATALOG
from engine.query.inspect.named_runs import VARIABLE
from engine.query.inspect.snapshot import Snapshot
from engine.query.inspect.sources import PathOf, add_history, add_source, lookup, no_values
from engine.stores.port import ObjectStore

SQL_FILES = (
    "base", "runs", "latest_runs", "files", "columns", "exports",
    "result", "history", "row_groups", "profile", "run_diff", "help",
)  # fmt: skip
"""The files of ``sql/``, each after those that it depends on."""

KINDS = frozenset({"workflows", "runs", "files", "columns", "exports"})
"""The rows of views that a snapshot has."""

AZURE_NOTE = (
    "Reads az:// URLs, for which this file has no credentials. First run INSTALL azure; LOAD azure; "
    "CREATE SECRET (TYPE azure, CONNECTION_STRING '...');"
)

_PLACEHOLDER = re.compile(r"\$([a-z]+)\((?:(\{[^}]*\})|(\w+), (\w+), (\w+))\)")

_TableOf = Callable[[str, str], str]
"""SQL for a table with the rows of a kind, whose columns are a JSON object of their types by name."""


def create_session_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create everything in ``sql/`` in a session with a `CatalogFileSystem` and `NamedRuns`."""

    def table_of(kind: str, columns: str) -> str:
        types = ", ".join(f"{identifier(name)}: {literal(type_)}" for name, type_ in json.loads(columns).items())
        return f"read_json('{CATALOG}://{kind}', format = 'newline_delimited', columns = {{{types}}})"

    entries = {name: f"coalesce(getvariable('{VARIABLE}{name}'), '{{}}')" for name in no_values()}
    _create(connection, table_of, entries)


def write_views(target: Path, snapshot: Snapshot, path_of: PathOf, *, note: str | None = None) -> None:
    """Write a DuckDB database with the views only, and replace an older one at ``target``.

    Raises StoreError, or InvalidInput if another file is there, or if the database cannot be written.
    """
    if target.exists() and not _has_only_views(target):
        raise InvalidInput(f"{target.name} exists and is not a file of views; choose another name.")

    def table_of(kind: str, columns: str) -> str:
        rows = literal(f"[{','.join(snapshot.lines(kind))}]")
        objects = f"""(SELECT unnest(from_json_strict({rows}, '["JSON"]')) AS json)"""
        return f"(SELECT unnest(from_json_strict(json, {literal(columns)})) FROM {objects})"  # noqa: S608  # quoted

    entries = _entries_of(snapshot, path_of)
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        # Creating a view opens none of its files, so they need not be reachable.
        with duckdb.connect(str(temporary), config={"autoload_known_extensions": False}) as connection:
            _create(connection, table_of, entries)
            if note is not None:
                connection.execute(f"COMMENT ON MACRO TABLE result IS {literal(note)}")
        temporary.replace(target)
    except (duckdb.Error, OSError) as error:
        raise InvalidInput(
            f"{target.name} cannot be written; check that its directory exists and is writable."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def path_in(store: ObjectStore, location: str) -> PathOf:
    """Return a function from keys to paths that any DuckDB can open: absolute paths, or URLs below ``location``."""

    def path_of(key: str) -> str:
        path = store.local_path(key)
        return f"{location.rstrip('/')}/{key}" if path is None else exact_path(path)

    return path_of


def _create(connection: duckdb.DuckDBPyConnection, table_of: _TableOf, entries: Mapping[str, str]) -> None:
    def value(found: re.Match[str]) -> str:
        name, columns, workflow, run, failed = found.groups()
        return lookup(name, entries[name], workflow, run, failed) if columns is None else table_of(name, columns)

    for name in SQL_FILES:
        connection.execute(_PLACEHOLDER.sub(value, _sql(name)))


def _entries_of(snapshot: Snapshot, path_of: PathOf) -> dict[str, str]:
    workflows = map(json.loads, snapshot.lines("workflows"))
    latest = {workflow["workflow"]: workflow["latest_run"] for workflow in workflows}
    values = no_values()
    sources = map(json.loads, snapshot.lines("sources"))
    for workflow, group in groupby(sources, key=lambda source: source["workflow"]):
        runs = list(group)
        for source in runs:
            add_source(values, source, latest.get(workflow), path_of)
        add_history(values, runs, path_of)
    return {name: literal(json.dumps(entries)) for name, entries in values.items()}


def _sql(name: str) -> str:
    packaged = files("engine") / "_sql" / f"{name}.sql"
    # A wheel contains the files; in a checkout they are beside the package.
    path = packaged if packaged.is_file() else Path(__file__).parents[3] / "sql" / f"{name}.sql"
    return path.read_text("utf-8")


def _has_only_views(path: Path) -> bool:
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            schemas = connection.execute(
                "SELECT count(*) FROM information_schema.schemata "
                "WHERE schema_name = '_inside' AND catalog_name = current_database()"
            ).fetchone()
            tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
    except duckdb.Error:
        return False
    return schemas == (1,) and tables == (0,)
