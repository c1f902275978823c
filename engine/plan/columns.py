"""The columns of a file: those of the run or the requested ones, objects flattened if the request says so."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import lru_cache

from engine.catalog.schema import CHANGE, CHANGED, ROW_ID, Field, Reference, Schema
from engine.errors import InvalidRequest, quoted_excerpt
from engine.plan.delta_types import delta_column
from engine.request.request import ExportRequest

_MAX_LISTED = 50
_MAX_COMPARED = 2_000
_MAX_SUGGESTION_LENGTH = 100
"""The time of a search for similar names grows with their number and length."""


def read_columns(request: ExportRequest, table: Schema) -> tuple[Reference, ...]:
    """The columns that a request asks for, in their order.

    Raises InvalidRequest for an entry of ``fields`` that the run does not have, and for columns with the same name.
    """
    fields = None if request.fields is None else requested_fields(request.fields, table)
    columns = columns_of(
        table, fields, flatten=request.flatten, row_ids=request.include_row_ids, delta_types=request.delta_types
    )
    _check_names(columns, "flatten" if request.flatten else "fields")
    return columns


def requested_fields(paths: Iterable[str], table: Schema) -> tuple[Reference, ...]:
    """The columns and members at these paths. Raises InvalidRequest, which names the entry and the nearest name."""
    return tuple(
        find_column(table, path, parameter="fields", entry=f"fields[{index}]") for index, path in enumerate(paths)
    )


def columns_of(
    table: Schema, fields: Iterable[Reference] | None, *, flatten: bool, row_ids: bool, delta_types: bool = False
) -> tuple[Reference, ...]:
    """The columns of a file that has these fields, by default all; the row id is first if ``row_ids``.

    A table of changes always begins with the change and the row id.
    """
    columns = tuple(table.columns if fields is None else fields)
    if flatten:
        columns = tuple(leaf for column in columns for leaf in _leaves(column))
    if delta_types:
        columns = tuple(map(delta_column, columns))
    return (*table.change, *(table.row_id if row_ids or table.change else ()), *columns)


@lru_cache(maxsize=64)
def fields_of(columns: tuple[Reference, ...]) -> tuple[Field, ...]:
    """The schema of a file with these columns."""
    return tuple(Field(name=column.path, data_type=column.data_type, type=column.type) for column in columns)


def find_column(
    table: Schema, path: str, *, parameter: str, entry: str, error: type[InvalidRequest] = InvalidRequest
) -> Reference:
    """The column, or the member at a dotted path. Raises ``error``, which names the nearest one."""
    column = table.find(path)
    if column is None and parameter == "filters":
        column = next((one for one in (*table.change, *table.changed) if one.path == path), None)
    if column is None:
        raise error(f"{entry}: {_unknown(table, path)}", parameter=parameter, entry=entry)
    return column


def _leaves(column: Reference) -> Iterator[Reference]:
    members = column.members
    if not members:
        yield column
    for member in members:
        yield from _leaves(member)


def _check_names(columns: Iterable[Reference], parameter: str) -> None:
    """Names that differ only in the case of ASCII letters are equal in SQL."""
    names: dict[bytes, str] = {}
    for column in columns:
        key = column.path.encode().lower()
        if key in names:
            other = names[key]
            like = "" if other == column.path else f" or {quoted_excerpt(other)}, which differs only in letter case"
            raise InvalidRequest(
                f"{parameter}: two columns would have the name {quoted_excerpt(column.path)}{like}; "
                "list others in fields.",
                parameter=parameter,
                field=column.path,
            )
        names[key] = column.path


def _unknown(table: Schema, path: str) -> str:
    if path == ROW_ID:
        return f"there is no field {path!r}; rowIds selects rows by it, includeRowIds=true adds it as the first column."
    if path == CHANGE:
        return f"there is no field {path!r}; sinceRunId adds it as the first column, and filters may use it then."
    if path == CHANGED:
        return f"there is no field {path!r}; filters may use it with sinceRunId."
    names = ", ".join(field.name for field in table.delivered[:_MAX_LISTED])
    near = _nearest(path, [column.path for column in table.references[:_MAX_COMPARED]])
    return f"there is no field {quoted_excerpt(path)}. Fields: {names}." + (f" Did you mean {near}?" if near else "")


def _nearest(path: str, names: list[str]) -> str | None:
    if len(path) > _MAX_SUGGESTION_LENGTH:
        return None
    by_lower = {name.lower(): name for name in names if len(name) <= _MAX_SUGGESTION_LENGTH}
    near = get_close_matches(path.lower(), by_lower, 1)
    return by_lower[near[0]] if near else None
