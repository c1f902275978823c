"""What a statement may call and name: ``functions.toml``, read once."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def fold(name: str) -> bytes:
    """A name as DuckDB compares names: ASCII letters alone have no case.

    ``str.lower`` would take the Kelvin sign for a k, and so one name for another.
    """
    return name.encode(errors="surrogatepass").lower()


_LISTS: Mapping[str, list[dict[str, Any]]] = tomllib.loads(
    files("engine.query.sandbox").joinpath("functions.toml").read_text("utf-8")
)


def _names(place: str) -> frozenset[bytes]:
    groups = [group for group in _LISTS["allowed"] if group["place"] == place]
    return frozenset(fold(name) for group in groups for name in group["names"])


def _reasons(place: str) -> Mapping[bytes, str]:
    groups = [group for group in _LISTS["refused"] if group["place"] == place]
    return {fold(name): group["why"] for group in groups for name in group["names"]}


ALLOWED: Mapping[str, frozenset[bytes]] = {place: _names(place) for place in ("expression", "table", "type")}
"""Folded names by where they stand: in an expression, in FROM, or as a type."""

REASONS: Mapping[str, Mapping[bytes, str]] = {place: _reasons(place) for place in ALLOWED}
"""Why a name that DuckDB knows is not allowed, for messages."""
