"""The names of shares and tables, which are not case-sensitive, for ids, which are.

A capital letter ``A`` of an id is ``~a`` in its name, and a dot is ``~0``, since clients split ``share.schema.table``
at dots. Ids have no ``~``, so every name stands for one id.
"""

import re
from dataclasses import dataclass

from engine.common.ids import is_id

SCHEMA = "default"
"""The only schema of a share."""

_ESCAPED = re.compile(r"[A-Z.]")
_ESCAPE = re.compile(r"~([a-z0])")
_NAME = re.compile(r"(?:[a-z0-9_-]|~[a-z0])+")


@dataclass(frozen=True, slots=True)
class TableId:
    """What the name of a table stands for: a workflow, or one run of it."""

    workflow_id: str
    run_id: str | None = None


def name_of(id_: str) -> str:
    """The name for an id."""
    return _ESCAPED.sub(lambda found: "~0" if found[0] == "." else f"~{found[0].lower()}", id_)


def id_of(name: str) -> str | None:
    """The id of a name in any letter case, or None if it is the name of none."""
    # Not `str.lower` alone: it makes an ASCII letter of the Kelvin sign.
    if not name.isascii() or not _NAME.fullmatch(name.lower()):
        return None
    id_ = _ESCAPE.sub(lambda found: "." if found[1] == "0" else found[1].upper(), name.lower())
    return id_ if is_id(id_) else None


def table_of(name: str) -> TableId | None:
    """What ``{workflow}`` or ``{workflow}@{run}`` stands for, or None if it is no name of a table."""
    workflow, at, run = name.partition("@")
    workflow_id, run_id = id_of(workflow), id_of(run) if at else None
    return None if workflow_id is None or (at and run_id is None) else TableId(workflow_id, run_id)
