"""Quotes identifiers and literals for SQL text; no other module does. Values are bound as parameters instead."""


def identifier(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Text as a string literal, for settings and COPY options, which take no parameters."""
    return "'" + text.replace("'", "''") + "'"
