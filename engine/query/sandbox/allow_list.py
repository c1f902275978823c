"""The functions, table functions and types that a statement may use, from ``functions.toml``."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def fold(name: str) -> bytes:
    """Return a name in the form in which DuckDB compares names: only ASCII letters are case-insensitive.

    ``str.lower`` turns the Kelvin sign into a k, so it would confuse two names that DuckDB tells apart.
    """
    return name.encode(errors="surrogatepass").lower()


_LISTS: Mapping[str, list[dict[str, Any]]] = tomllib.loads(
    files("engine.query.sandbox").joinpath("functions.toml").read_text("utf-8")
)


def _names(usage: str) -> frozenset[bytes]:
    groups = [group for group in _LISTS["allowed"] if group["usage"] == usage]
    return frozenset(fold(name) for group in groups for name in group["names"])


def _reasons(usage: str) -> Mapping[bytes, str]:
    groups = [group for group in _LISTS["refused"] if group["usage"] == usage]
    return {fold(name): group["why"] for group in groups for name in group["names"]}


ALLOWED: Mapping[str, frozenset[bytes]] = {usage: _names(usage) for usage in ("expression", "table", "type")}
"""Folded names by where they are used: in an expression, in FROM ("table"), or as a type."""

REASONS: Mapping[str, Mapping[bytes, str]] = {usage: _reasons(usage) for usage in ALLOWED}
"""Why a name that DuckDB has is not allowed, for messages."""
