"""What the shell knows of a session: tables, columns, functions, workflows and runs."""

from collections.abc import Callable
from itertools import chain

from engine.common.quoting import identifier, literal
from engine.errors import EngineError
from engine.query.inspect.session import Inspection

TABLES = """
    SELECT concat_ws('.', if(database IN ('memory', 'temp'), NULL, database), name) AS name, type
    FROM (
        SELECT database_name AS database, schema_name, view_name AS name, 'view' AS type
        FROM duckdb_views() WHERE NOT internal
        UNION ALL
        SELECT database_name, schema_name, table_name, 'table' FROM duckdb_tables() WHERE NOT internal
    )
    WHERE schema_name = 'main'
    ORDER BY database NOT IN ('memory', 'temp'), name
"""
"""Those of the session and of attached databases; views of the engine's own schema are left out."""

_FUNCTIONS = """
    SELECT DISTINCT function_name FROM duckdb_functions()
    WHERE schema_name = 'main' AND regexp_full_match(function_name, '[a-z]\\w*') ORDER BY 1
"""
_KEYWORDS = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved' ORDER BY 1"
_WORKFLOWS = "SELECT workflow FROM latest_runs ORDER BY 1"


class Catalogue:
    """Reads names from the session when they are first needed. What cannot be read is an empty list."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        self._found: dict[str, list[str]] = {}

    def tables(self) -> list[str]:
        """Tables and views; those of attached databases with the name of the database."""
        # Not remembered, since every statement can make one.
        return self._read(TABLES)

    def functions(self) -> list[str]:
        """Functions and macros."""
        return self._read(_FUNCTIONS)

    def keywords(self) -> list[str]:
        """Keywords of SQL, in lower case."""
        return self._remembered(_KEYWORDS)

    def workflows(self) -> list[str]:
        """Workflows that have a finished run."""
        return self._remembered(_WORKFLOWS)

    def runs(self, workflow: str) -> list[str]:
        """The finished runs of a workflow, newest first."""
        return self._remembered(f"SELECT run FROM runs WHERE state = 'FINISHED' AND workflow = {literal(workflow)}")  # noqa: S608  # quoted

    def columns(self, table: str) -> list[str]:
        """The columns of a table or view."""
        return self._read(f"DESCRIBE {quoted(table)}")

    def result_columns(self, workflow: str) -> list[str]:
        """The columns of a workflow's latest run."""
        return self._remembered(f"DESCRIBE FROM result({literal(workflow)})")

    def forget(self) -> None:
        """Read workflows and runs again when they are next needed."""
        self._found.clear()

    def _remembered(self, query: str) -> list[str]:
        if query not in self._found:
            self._found[query] = self._read(query)
        return self._found[query]

    def _read(self, query: str) -> list[str]:
        try:
            [statement] = self._inspection.statements(query)
            return [str(row[0]) for row in chain.from_iterable(self._inspection.rows(statement).pages())]
        except EngineError:
            return []


def schema_query(catalogue: Catalogue, name: str) -> str:
    """The statement that lists the columns and types of a workflow's latest run, or of a table."""
    is_workflow = name in catalogue.workflows()
    source = f"FROM result({literal(name)})" if is_workflow else quoted(name)
    return f"SELECT column_name, column_type FROM (DESCRIBE {source})"  # noqa: S608  # quoted


def quoted(name: str) -> str:
    """A name with its database, as in ``mine.prices``, for a statement."""
    return ".".join(map(identifier, name.split(".")))


def matching(names: list[str], prefix: str, same: Callable[[str], str] = str.lower) -> list[str]:
    """The names that begin with the prefix, in any letter case."""
    return [name for name in names if same(name).startswith(same(prefix))]
