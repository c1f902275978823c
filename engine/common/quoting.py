"""Identifiers and literals in SQL text: the only place that quotes. Values are bound, never quoted."""


def identifier(name: str) -> str:
    """A name as DuckDB reads it back unchanged, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Text as a literal, for the few places that take no parameter (settings, COPY options)."""
    return "'" + text.replace("'", "''") + "'"
