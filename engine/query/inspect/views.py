"""Create the views and macros of ``sql/`` over a snapshot, in a session or in a database file without any tables."""

import json
import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path

import duckdb

from engine.catalog.manifest import Run
from engine.common.quoting import identifier, literal
from engine.common.table_functions import exact_path, read_parquet
from engine.errors import InvalidInput
from engine.query.inspect.file_bounds import bounds_of_file, sort_keys
from engine.query.inspect.snapshot import Snapshot, export_row, run_row
from engine.stores.port import ObjectStore

SQL_FILES = ("base", "runs", "latest_runs", "files", "exports", "result", "profile", "run_diff", "help")
"""The files of ``sql/``, each after those that it depends on."""

AZURE_NOTE = (
    "Reads az:// URLs, for which this file has no credentials. First run INSTALL azure; LOAD azure; "
    "CREATE SECRET (TYPE azure, CONNECTION_STRING '...');"
)

PathOf = Callable[[str], str]
"""Maps the key of a part to a path or URL that DuckDB can open."""


def create_views(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, path_of: PathOf) -> None:
    """Create everything in ``sql/``."""
    values = _values(snapshot, path_of)
    for name in SQL_FILES:
        text = re.sub(r"\$(\w+)", lambda found: literal(values[found[1]]), _sql(name))
        connection.execute(text)


def write_views(target: Path, snapshot: Snapshot, path_of: PathOf, *, note: str | None = None) -> None:
    """Write a DuckDB database with the views only, and replace an older one at ``target``.

    Raises InvalidInput if another file is there, or if the database cannot be written.
    """
    if target.exists() and not _has_only_views(target):
        raise InvalidInput(f"{target.name} exists and is not a file of views; choose another name.")
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        # Creating a view opens none of its files, so they need not be reachable.
        with duckdb.connect(str(temporary), config={"autoload_known_extensions": False}) as connection:
            create_views(connection, snapshot, path_of)
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


def _sql(name: str) -> str:
    packaged = files("engine") / "_sql" / f"{name}.sql"
    # A wheel contains the files; in a checkout they are beside the package.
    path = packaged if packaged.is_file() else Path(__file__).parents[3] / "sql" / f"{name}.sql"
    return path.read_text("utf-8")


def _values(snapshot: Snapshot, path_of: PathOf) -> dict[str, str]:
    """The values of the ``$names`` in ``sql/``."""
    return {
        "runs": json.dumps([run_row(found) for found in snapshot.runs]),
        "files": json.dumps([row for found in snapshot.runs for row in _file_rows(found.run)]),
        "exports": json.dumps([export_row(info) for info in snapshot.exports]),
        "statements": json.dumps(_statements(snapshot, path_of)),
    }


def _file_rows(run: Run) -> Iterable[dict[str, object]]:
    keys = sort_keys(run.table)
    for part in run.parts:
        yield {
            "workflow": run.workflow_id,
            "run": run.run_id,
            "state": run.state,
            "file": part.key.rpartition("/")[2],
            "rows": part.rows,
            "bytes": part.bytes,
            "row_groups": len(part.row_groups),
            "bounds": {path: bounds.model_dump() for path, bounds in bounds_of_file(part, keys).items()},
        }


def _statements(snapshot: Snapshot, path_of: PathOf) -> dict[str, str]:
    statements = {}
    for found in snapshot.runs:
        if found.finished:
            select = _select(found.run, path_of)
            statements[f"{found.run.workflow_id}/{found.run.run_id}"] = select
            if found.latest:
                statements[f"{found.run.workflow_id}/"] = select
    return statements


def _select(run: Run, path_of: PathOf) -> str:
    if run.parts:
        paths = ", ".join(literal(path_of(part.key)) for part in run.parts)
        return f"SELECT * FROM {read_parquet(f'[{paths}]')}"  # noqa: S608  # quoted paths
    # A run without rows has no parts, but it has columns.
    nulls = ", ".join(f"CAST(NULL AS {field.type.sql()}) AS {identifier(field.name)}" for field in run.table)
    return f"SELECT {nulls} WHERE FALSE"


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
