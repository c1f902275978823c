"""The shapes of a parsed statement as ``json_serialize_sql`` writes it.

There is one entry for each kind of node, with its members and the kind of their content. Other nodes and members are
refused, since a new version of DuckDB may give them any meaning. The shapes are those of DuckDB 1.5 and 2.0 together;
members that only one of them has are marked.
"""

from collections.abc import Mapping
from typing import Final

PLAIN: Final = "plain"
"""Text, numbers, booleans and lists of these, which cannot name a function, table or type."""

VALUE: Final = "value"
"""The value of a constant, whose type is checked separately."""

Members = Mapping[str, str]

_ANY: Members = {
    "class": PLAIN,
    "type": PLAIN,
    "alias": PLAIN,
    "query_location": PLAIN,
    "query_location_length": PLAIN,  # 2.0
}
_TABLE: Members = {**_ANY, "sample": "sample", "column_name_alias": PLAIN}
_NODE: Members = {"type": PLAIN, "modifiers": "modifier", "cte_map": "ctes"}
_CALL: Members = {
    "function_name": PLAIN,
    "schema": PLAIN,
    "catalog": PLAIN,
    "qualified_name": "qualified name",  # 2.0
    "distinct": PLAIN,
    "children": "expression",  # 1.5
    "arguments": "argument",  # 2.0
}

SHAPES: Mapping[str, Members] = {
    # The "class" of a member of the kind "expression" selects one of these.
    "expression BETWEEN": {**_ANY, "input": "expression", "lower": "expression", "upper": "expression"},
    "expression CASE": {**_ANY, "case_checks": "case", "else_expr": "expression"},
    "expression CAST": {
        **_ANY,
        "child": "expression",
        "cast_type": "type",  # 1.5
        "type_expr": "expression",  # 2.0
        "try_cast": PLAIN,
    },
    "expression COLLATE": {**_ANY, "child": "expression", "collation": PLAIN},
    "expression COLUMN_REF": {**_ANY, "column_names": PLAIN},
    "expression COMPARISON": {**_ANY, "left": "expression", "right": "expression"},
    "expression CONJUNCTION": {**_ANY, "children": "expression"},
    "expression CONSTANT": {
        **_ANY,
        "value": "constant",
        "literal": "literal",  # 2.0
    },
    "expression FUNCTION": {
        **_ANY,
        **_CALL,
        "filter": "expression",
        "order_bys": "modifier",
        "is_operator": PLAIN,
    },
    "expression LAMBDA": {**_ANY, "lhs": "expression", "expr": "expression", "syntax_type": PLAIN},
    "expression OPERATOR": {**_ANY, "children": "expression"},
    "expression PARAMETER": {**_ANY, "identifier": PLAIN},
    "expression POSITIONAL_REFERENCE": {**_ANY, "index": PLAIN},
    "expression STAR": {
        **_ANY,
        "relation_name": PLAIN,
        "exclude_list": PLAIN,
        "qualified_exclude_list": "column name",
        "replace_list": "replaced column",
        "rename_list": "renamed column",
        "columns": PLAIN,
        "expr": "expression",
    },
    "expression SUBQUERY": {
        **_ANY,
        "subquery_type": PLAIN,
        "subquery": "select",
        "child": "expression",
        "comparison_type": PLAIN,
    },
    "expression TYPE": {
        **_ANY,
        "type_name": PLAIN,
        "schema": PLAIN,
        "catalog": PLAIN,
        "qualified_name": "qualified name",  # 2.0
        "children": "expression",
    },
    "expression WINDOW": {
        **_ANY,
        **_CALL,
        "partitions": "expression",
        "orders": "order",
        "arg_orders": "order",
        "start": PLAIN,
        "end": PLAIN,
        "start_expr": "expression",
        "end_expr": "expression",
        "offset_expr": "expression",
        "default_expr": "expression",
        "filter_expr": "expression",
        "ignore_nulls": PLAIN,
        "exclude_clause": PLAIN,
    },
    "case": {"when_expr": "expression", "then_expr": "expression"},
    "column name": {"column": PLAIN, "table": PLAIN, "schema": PLAIN, "catalog": PLAIN},
    "replaced column": {"key": PLAIN, "value": "expression"},
    "renamed column": {"key": "column name", "value": PLAIN},
    # The "type" of a member of the kind "table" selects one of these.
    "table BASE_TABLE": {
        **_TABLE,
        "table_name": PLAIN,
        "schema_name": PLAIN,
        "catalog_name": PLAIN,
        "qualified_name": "qualified name",  # 2.0
    },
    "table EMPTY": _TABLE,
    "table EXPRESSION_LIST": {
        **_TABLE,
        "expected_names": PLAIN,
        "expected_types": "type",
        "values": "expression",
    },
    "table JOIN": {
        **_TABLE,
        "left": "table",
        "right": "table",
        "condition": "expression",
        "join_type": PLAIN,
        "ref_type": PLAIN,
        "using_columns": PLAIN,
        "is_implicit": PLAIN,
    },
    "table PIVOT": {
        **_TABLE,
        "source": "table",
        "aggregates": "expression",
        "unpivot_names": PLAIN,
        "pivots": "pivot",
        "groups": PLAIN,
        "include_nulls": PLAIN,
    },
    "table SHOW_REF": {
        **_TABLE,
        "table_name": PLAIN,
        "query": "node",
        "show_type": PLAIN,
        "catalog_name": PLAIN,
        "schema_name": PLAIN,
        "qualified_name": "qualified name",  # 2.0
    },
    "table SUBQUERY": {**_TABLE, "subquery": "select"},
    "table TABLE_FUNCTION": {**_TABLE, "function": "table function", "with_ordinality": PLAIN},
    "pivot": {"pivot_expressions": "expression", "unpivot_names": PLAIN, "entries": "pivot entry"},
    "pivot entry": {"values": "constant", "star_expr": "expression", "alias": PLAIN},
    "sample": {
        "sample_size": "constant",
        "is_percentage": PLAIN,
        "method": PLAIN,
        "seed": PLAIN,
        "repeatable": PLAIN,  # 2.0
    },
    # The "type" of a member of the kind "node", a query, selects one of these.
    "node SELECT_NODE": {
        **_NODE,
        "select_list": "expression",
        "from_table": "table",
        "where_clause": "expression",
        "group_expressions": "expression",
        "group_sets": PLAIN,
        "aggregate_handling": PLAIN,
        "having": "expression",
        "sample": "sample",
        "qualify": "expression",
    },
    "node SET_OPERATION_NODE": {
        **_NODE,
        "setop_type": PLAIN,
        "setop_all": PLAIN,
        "left": "node",
        "right": "node",
        "children": "node",
    },
    "node RECURSIVE_CTE_NODE": {
        **_NODE,
        "cte_name": PLAIN,
        "union_all": PLAIN,
        "left": "node",
        "right": "node",
        "aliases": PLAIN,
        "key_targets": "expression",
    },
    "select": {"node": "node"},
    "ctes": {"map": "cte"},
    "cte": {"key": PLAIN, "value": "cte body"},
    "cte body": {
        "aliases": PLAIN,
        "query": "select",  # 1.5
        "query_node": "node",  # 2.0
        "materialized": PLAIN,
        "key_targets": "expression",
    },
    "modifier DISTINCT_MODIFIER": {"type": PLAIN, "distinct_on_targets": "expression"},
    "modifier LIMIT_MODIFIER": {
        "type": PLAIN,
        "limit": "expression",
        "offset": "expression",
        "limit_type": PLAIN,  # 2.0; in 1.5, a percentage is a modifier of its own
    },
    "modifier LIMIT_PERCENT_MODIFIER": {"type": PLAIN, "limit": "expression", "offset": "expression"},
    "modifier ORDER_MODIFIER": {"type": PLAIN, "orders": "order"},
    "order": {"type": PLAIN, "null_order": PLAIN, "expression": "expression"},
    "constant": {"type": "type", "is_null": PLAIN, "value": VALUE},
    "literal": {"kind": PLAIN, "text": PLAIN},
    "argument": {"name": PLAIN, "expression": "expression"},
    "qualified name": {"path": PLAIN},
    # A type, and what else defines it.
    "type": {"id": PLAIN, "type_info": "type info"},
    "type info GENERIC_TYPE_INFO": {"type": PLAIN, "alias": PLAIN},
    "type info DECIMAL_TYPE_INFO": {"type": PLAIN, "alias": PLAIN, "width": PLAIN, "scale": PLAIN},
    "type info LIST_TYPE_INFO": {"type": PLAIN, "alias": PLAIN, "child_type": "type"},
    "type info UNBOUND_TYPE_INFO": {"type": PLAIN, "alias": PLAIN, "expr": "expression"},
}
"""The members of each node, by its kind and, for the kinds in `DISCRIMINATORS`, by its "class" or "type"."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "expression FUNCTION": ("catalog", "schema", "function_name"),
    "expression WINDOW": ("catalog", "schema", "function_name"),
    "expression TYPE": ("catalog", "schema", "type_name"),
    "table BASE_TABLE": ("catalog_name", "schema_name", "table_name"),
    "table SHOW_REF": ("catalog_name", "schema_name", "table_name"),
}
"""The members that name the same as ``qualified_name``; of a path of more than three parts, they lose some."""

DISCRIMINATORS: Mapping[str, str] = {
    "expression": "class",
    "table": "type",
    "node": "type",
    "modifier": "type",
    "type info": "type",
}
"""The member that distinguishes the nodes of a kind."""

OPERATORS = frozenset(
    {
        "ARRAY_CONSTRUCTOR", "ARRAY_EXTRACT", "ARRAY_SLICE", "COMPARE_IN", "COMPARE_NOT_IN", "GROUPING_FUNCTION",
        "OPERATOR_COALESCE", "OPERATOR_IS_NOT_NULL", "OPERATOR_IS_NULL", "OPERATOR_NOT", "OPERATOR_TRY",
        "OPERATOR_UNPACK", "STRUCT_EXTRACT",
    }
)  # fmt: skip
"""The allowed types of expressions of the class OPERATOR."""

SHOWN_TABLES = frozenset({'"databases"', '"schemas"', '"tables"', "__show_tables_expanded"})
"""What SHOW may list, other than the columns of a query."""
