"""Refuse a statement that uses a function, table or type that is not on the allow-list, before DuckDB binds it.

DuckDB's parser serializes the statement to a tree, and every node must have a known shape, so the check finds each
function, table and type at any depth. The text that was checked is the text that runs: DuckDB parses it again with the
same parser.
"""

import json
import sys
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

import duckdb

from engine.common.quoting import literal
from engine.errors import InvalidStatement
from engine.errors import quoted_excerpt as excerpt
from engine.query.sandbox.allow_list import ALLOWED, REASONS, fold
from engine.query.sandbox.statement_tree import DISCRIMINATORS, NAMES, OPERATORS, PLAIN, SHAPES, SHOWN_TABLES, VALUE

STORAGE_VERSION = "latest"
"""The required ``storage_compatibility_version``: with an older one, the tree omits what that version did not have."""

_SERIALIZE = "SELECT {0}, json_serialize_sql({0}, skip_null := true, skip_empty := true, skip_default := true)"
_TREE_DEPTH = 10_000
"""Maximum levels of JSON: DuckDB's parser allows 1,000 levels of expressions, and an expression may take four."""

_UNSUPPORTED = (
    "Use one read-only statement: SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW TABLES, SUMMARIZE, UNPIVOT, or PIVOT that "
    "lists its values: ON column IN (value, ...). EXPLAIN is not available here."
)
_BAD_CHARACTER = "The statement contains a character that is not allowed in SQL."
_NO_SELECT = "Only SELECT statements can be serialized"
_KINDS = {"expression": "Function", "table": "Table function", "type": "Type"}
_CATALOGS, _SCHEMAS = (b"", b"memory"), (b"", b"main")
_CATALOG_PREFIXES = (b"duckdb_", b"information_schema", b"pg_", b"pragma_", b"sqlite_")
"""Prefixes of DuckDB's own views. CTEs must not use them, so that it does not matter which DuckDB looks up first."""

_TABLES = {
    b"": "the rows of the run are in table data",
    b"previous": "for another run of the workflow, set the parameter previous to true or to its id",
}
"""What a statement may read instead of a table that it names."""

Names = frozenset[bytes]
"""Folded names of the CTEs that are visible in a part of the statement; with the prefix ``recurring.``, those that
a recursive query may refer to by it."""


def check_statement(
    connection: duckdb.DuckDBPyConnection, sql: str, tables: Collection[str], params: Collection[str] = ()
) -> dict[str, str]:
    """Raise InvalidStatement unless ``sql`` is one read-only statement over ``tables`` that uses only what is allowed.

    It must have the parameters ``params``, and no others. Returns the name that the statement uses for each of them.
    The connection must use `STORAGE_VERSION`.
    """
    statement = _parsed(connection, sql)
    _Check(sql, tables).run({"node": statement["node"]})
    return _match_params([entry["key"] for entry in statement.get("named_param_map", ())], params)


def _match_params(used: list[str], params: Collection[str]) -> dict[str, str]:
    if any(name.isdecimal() for name in used):
        raise InvalidStatement("Parameters have names: write $name instead of ? or $1, and give its value in params.")
    known, names = {fold(name): name for name in params}, {fold(name): name for name in used}
    for folded, name in names.items():
        if folded not in known:
            raise InvalidStatement(
                f"The statement has the parameter ${name[:100]}: give its value in params.",
                parameter="params",
                entry=f"params.{name[:100]}",
            )
    for folded, name in known.items():
        if folded not in names:
            raise InvalidStatement(
                f"params.{name}: the statement has no ${name}; remove it, or correct its name.",
                parameter="params",
                entry=f"params.{name}",
            )
    return {name: names[folded] for folded, name in known.items()}


def _parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> Mapping[str, Any]:
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise InvalidStatement("The statement is not valid UTF-8.") from None
    if "\0" in sql:
        # DuckDB 1.5 ends a string there, 2.0 does not.
        raise InvalidStatement(_BAD_CHARACTER)
    try:
        row = connection.execute(_SERIALIZE.format(literal(sql))).fetchone()
    except duckdb.ParserException as error:
        # A character that ends a string in DuckDB's parser but not in Python.
        raise InvalidStatement(_BAD_CHARACTER) from error
    if row is None or row[0] != sql:
        raise InvalidStatement(_BAD_CHARACTER)
    tree = _loaded(row[1])
    if tree["error"]:
        if tree["error_message"].startswith(_NO_SELECT):
            raise InvalidStatement(_UNSUPPORTED)
        position = tree.get("position")
        where = "" if position is None else f" ({_line_and_column(sql, int(position))})"
        raise InvalidStatement(f"Parser Error: {tree['error_message'][:400]}{where}")
    if len(tree["statements"]) != 1:
        raise InvalidStatement(_UNSUPPORTED)
    statement: Mapping[str, Any] = tree["statements"][0]
    if not statement.keys() <= {"node", "named_param_map"}:
        raise InvalidStatement(_UNSUPPORTED)
    return statement


def _loaded(tree: str) -> Any:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _TREE_DEPTH))
    try:
        return json.loads(tree)
    except RecursionError:
        raise InvalidStatement("The statement is nested too deeply.") from None
    finally:
        sys.setrecursionlimit(limit)


class _Check:
    """One walk over a tree. Not recursive, since the tree may be deeper than the interpreter's stack."""

    def __init__(self, sql: str, tables: Collection[str]) -> None:
        self._sql = sql
        self._tables = {fold(table): table for table in tables}
        self._waiting: list[tuple[str, Any, Names]] = []
        self._location: int | None = None

    def run(self, statement: Mapping[str, Any]) -> None:
        self._waiting.append(("select", statement, frozenset()))
        while self._waiting:
            kind, content, names = self._waiting.pop()
            if isinstance(content, dict):
                self._visit(kind, content, names)
            elif isinstance(content, list):
                self._waiting.extend((kind, item, names) for item in content)
            else:
                self._refuse_shape(kind)

    def _visit(self, kind: str, node: Mapping[str, Any], names: Names) -> None:
        self._location = node.get("query_location", self._location)
        usage = "expression"
        if kind == "table function":
            # It has the shape of a function in an expression, but another list applies.
            kind, usage = "expression", "table"
        shape = f"{kind} {node.get(DISCRIMINATORS[kind])}" if kind in DISCRIMINATORS else kind
        if shape not in SHAPES or (usage == "table" and shape != "expression FUNCTION"):
            self._refuse_shape(shape)
        self._judge(shape, node, names, usage)
        for member, content in node.items():
            content_kind = SHAPES[shape].get(member)
            if content_kind is None or (content_kind == PLAIN and not _is_plain(content)):
                self._refuse_shape(f"{member} of {shape}")
            elif content_kind == "cte":
                self._visit_ctes(content, names)
            elif content_kind not in (PLAIN, VALUE):
                self._waiting.append((content_kind, content, _visible(shape, node, member, names)))

    def _judge(self, shape: str, node: Mapping[str, Any], names: Names, usage: str) -> None:
        if shape in NAMES and "qualified_name" in node:
            path = [part for part in node["qualified_name"].get("path", ()) if part]
            if path != [node[member] for member in NAMES[shape] if node.get(member)]:
                self._refuse_shape(f"qualified_name of {shape}")
        match shape:
            case "expression FUNCTION" | "expression WINDOW":
                self._allow(usage, node["function_name"])
            case "expression OPERATOR" if node["type"] not in OPERATORS:
                self._refuse_shape(node["type"])
            case "expression TYPE":
                self._allow("type", node["type_name"])
            case "type" if node["id"] != "UNBOUND":
                self._allow("type", node["id"])
            case "table BASE_TABLE":
                self._allow_table(node, names)
            case "table SHOW_REF" if "query" not in node and node.get("table_name", '"tables"') not in SHOWN_TABLES:
                self._refuse("SHOW supports only tables, schemas and databases here")

    def _visit_ctes(self, ctes: list[Mapping[str, Any]], names: Names) -> None:
        """Each CTE sees those before it."""
        for cte in ctes:
            name = cte["key"]
            if fold(name).startswith(_CATALOG_PREFIXES):
                self._refuse(f"The name {excerpt(name)} is reserved for DuckDB's catalog; choose another one")
            self._waiting.append(("cte", cte, names))
            names |= {fold(name)}

    def _allow(self, usage: str, name: str) -> None:
        if fold(name) in ALLOWED[usage]:
            return
        subject = f"{_KINDS[usage]} {excerpt(name)}"
        reason = REASONS[usage].get(fold(name))
        if reason is not None:
            self._refuse(f"{subject} is not allowed: {reason}")
        near = get_close_matches(fold(name).decode(), [known.decode() for known in ALLOWED[usage]], n=1, cutoff=0.75)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        self._refuse(f"{subject} does not exist or is not allowed{hint}")

    def _allow_table(self, node: Mapping[str, Any], names: Names) -> None:
        name = fold(node["table_name"])
        catalog, schema = fold(node.get("catalog_name", "")), fold(node.get("schema_name", ""))
        if catalog == schema == b"" and name in names:
            return
        if catalog == b"" and schema == b"recurring" and b"recurring." + name in names:
            return
        if name in self._tables and catalog in _CATALOGS and schema in _SCHEMAS:
            return
        full = ".".join(node[part] for part in ("catalog_name", "schema_name", "table_name") if node.get(part))
        self._refuse(f"Table {excerpt(full)} is not available; {_TABLES.get(name, _TABLES[b''])}")

    def _refuse_shape(self, shape: str) -> NoReturn:
        self._refuse(f"This SQL is not supported here: {shape.replace('_', ' ').lower()}")

    def _refuse(self, reason: str) -> NoReturn:
        where = "" if self._location is None else f" ({_line_and_column(self._sql, self._location)})"
        raise InvalidStatement(f"{reason}{where}.")


def _visible(shape: str, node: Mapping[str, Any], member: str, names: Names) -> Names:
    """The names that a member of a node sees: those of the node, and all CTEs of a query."""
    if not shape.startswith("node ") or member == "cte_map":
        return names
    names |= {fold(cte["key"]) for cte in node.get("cte_map", {}).get("map", ())}
    if shape == "node RECURSIVE_CTE_NODE" and member == "right":
        # Only the recursive part sees the rows found so far.
        own = fold(node["cte_name"])
        names |= {own, b"recurring." + own}
    return names


def _is_plain(content: object) -> bool:
    """Whether it is text, a number, a boolean or a list of these."""
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            return False
        if isinstance(item, list):
            waiting.extend(item)
    return True


def _line_and_column(sql: str, offset: int) -> str:
    """Text like ``line 2, column 5`` for an offset in bytes."""
    lines = sql.encode()[:offset].decode(errors="ignore").split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
