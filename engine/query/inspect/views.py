"""The views and macros of ``sql/`` over a snapshot: in a session, or as a database file without data of its own."""

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
from engine.query.inspect.file_bounds import bounds_of, orders_of
from engine.query.inspect.snapshot import Snapshot, export_row, run_row
from engine.stores.port import ObjectStore

ORDER = ("base", "runs", "latest_runs", "files", "exports", "result", "profile", "run_diff", "help")
"""The files of ``sql/``, each after those that it builds on."""

AZURE_NOTE = (
    "Reads az:// URLs with credentials of your own: INSTALL azure; LOAD azure; "
    "CREATE SECRET (TYPE azure, CONNECTION_STRING '...'); first. It holds none."
)

PathOf = Callable[[str], str]
"""From the key of a part to what DuckDB opens."""


def create_views(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, path_of: PathOf) -> None:
    """Make everything in ``sql/``."""
    values = _values(snapshot, path_of)
    for name in ORDER:
        text = re.sub(r"\$(\w+)", lambda found: literal(values[found[1]]), _sql(name))
        connection.execute(text)


def write_views(target: Path, snapshot: Snapshot, path_of: PathOf, *, note: str | None = None) -> None:
    """Write a database that holds views alone. Raises InvalidInput rather than replace a file that is none of ours."""
    if target.exists() and not _holds_only_views(target):
        raise InvalidInput(f"{target.name} is there, and no views file: name another.")
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        # Nothing is opened while views are made, so none of the files need be within reach.
        with duckdb.connect(str(fresh), config={"autoload_known_extensions": False}) as connection:
            create_views(connection, snapshot, path_of)
            if note is not None:
                connection.execute(f"COMMENT ON MACRO TABLE result IS {literal(note)}")
        fresh.replace(target)
    except (duckdb.Error, OSError) as error:
        raise InvalidInput(f"{target.name} cannot be written: is its folder there, and is it yours?") from error
    finally:
        fresh.unlink(missing_ok=True)


def path_in(store: ObjectStore, location: str) -> PathOf:
    """Where any DuckDB finds the parts of a store: an absolute path, or a URL below the location of the store."""

    def path_of(key: str) -> str:
        path = store.local_path(key)
        return f"{location.rstrip('/')}/{key}" if path is None else exact_path(path)

    return path_of


def _sql(name: str) -> str:
    packaged = files("engine") / "_sql" / f"{name}.sql"
    # A wheel carries the files along; in a checkout they lie beside the package.
    found = packaged if packaged.is_file() else Path(__file__).parents[3] / "sql" / f"{name}.sql"
    return found.read_text("utf-8")


def _values(snapshot: Snapshot, path_of: PathOf) -> dict[str, str]:
    """What stands for the ``$names`` in ``sql/``."""
    return {
        "runs": json.dumps([run_row(found) for found in snapshot.runs]),
        "files": json.dumps([row for found in snapshot.runs for row in _file_rows(found.run)]),
        "exports": json.dumps([export_row(info) for info in snapshot.exports]),
        "statements": json.dumps(_statements(snapshot, path_of)),
    }


def _file_rows(run: Run) -> Iterable[dict[str, object]]:
    orders = orders_of(run.table)
    for part in run.parts:
        yield {
            "workflow": run.workflow_id,
            "run": run.run_id,
            "state": run.state,
            "file": part.key.rpartition("/")[2],
            "rows": part.rows,
            "bytes": part.bytes,
            "row_groups": len(part.row_groups),
            "bounds": {path: bounds.model_dump() for path, bounds in bounds_of(part, orders).items()},
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
    # A run of no rows has no parts, and still its columns.
    nulls = ", ".join(f"CAST(NULL AS {field.type.sql()}) AS {identifier(field.name)}" for field in run.table)
    return f"SELECT {nulls} WHERE FALSE"


def _holds_only_views(path: Path) -> bool:
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            ours = connection.execute(
                "SELECT count(*) FROM information_schema.schemata "
                "WHERE schema_name = '_inside' AND catalog_name = current_database()"
            ).fetchone()
            tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
    except duckdb.Error:
        return False
    return ours == (1,) and tables == (0,)
