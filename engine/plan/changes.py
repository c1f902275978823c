"""What changed between two runs of a workflow, as one table: which runs can be compared, and the table's columns.

The columns are those of the newer run, in its order, then those that only the older one has. Where the types of a
column differ, it has a type in which no value of either changes: a wider number, an object with the members of both, or
else JSON or text. Names are equal if they differ only in the case of ASCII letters, as in SQL.
"""

from collections.abc import Iterable

from engine.catalog.manifest import Run
from engine.catalog.schema import CHANGE, CHANGED, ROW_ID, Field, Schema, data_type_of
from engine.catalog.types import BIGINT, DOUBLE, INTEGER_BITS, JSON, TEXT, ColumnType, Family
from engine.errors import InvalidRequest, quoted_excerpt

PARAMETER = "sinceRunId"

_EXACT_IN_DOUBLE = 2**53
_DIGITS_OF_DOUBLE = 15
_SMALL_INTEGER_BITS = 32
_DECIMAL_DIGITS = 38
_NESTED = (Family.LIST, Family.OBJECT, Family.MAP, Family.JSON)


def check_comparable(run: Run, since: Run | None, since_id: str) -> Run:
    """The run that ``sinceRunId`` names, if ``run`` can be compared with it. Raises InvalidRequest with the remedy."""
    if since_id == run.run_id:
        raise _invalid(f"{quoted_excerpt(since_id)} is the run itself; name an earlier run.")
    if since is None:
        raise _invalid(f"the workflow has no finished run {quoted_excerpt(since_id)}; name an earlier run of it.")
    if since.at > run.at:
        raise _invalid(f"{since_id} is newer than the run {run.run_id}; swap them.")
    for one in (since, run):
        if one.row_id_field is None:
            raise _invalid(
                f"the run {one.run_id} was published without a row-id field, so its rows cannot be compared; publish "
                "runs with `tailrace publish --row-id FIELD`, or with the parameter rowId."
            )
    if since.row_id_field != run.row_id_field:
        raise _invalid(
            f"the row ids of {since.run_id} are values of {since.row_id_field}, and those of {run.run_id} of "
            f"{run.row_id_field}; compare runs that were published with the same row-id field."
        )
    return since


def changes_table(run: Run, since: Run) -> Schema:
    """The schema of the rows that changed: `CHANGE`, the row id, `CHANGED`, and the columns of both runs."""
    older = {key(field): field for field in since.table.delivered}
    fields = [_merged(run, field, since, older.pop(key(field), None)) for field in run.table.delivered]
    internal = (Field(name=name, data_type="STRING", type=TEXT) for name in (CHANGE, ROW_ID))
    names = Field(name=CHANGED, data_type="ARRAY", type=ColumnType.list_of(TEXT))
    return Schema.of(*internal, names, *fields, *older.values())


def key(field: Field) -> bytes:
    """Equal for names that are equal in SQL."""
    return field.name.encode().lower()


def _merged(run: Run, field: Field, since: Run, older: Field | None) -> Field:
    if older is None or older.type == field.type:
        return field
    exact = _fits_double(run, field) and _fits_double(since, older)
    type_ = _common(field.type, older.type, exact=exact)
    return Field(name=field.name, data_type=data_type_of(type_), type=type_)


def _common(a: ColumnType, b: ColumnType, *, exact: bool) -> ColumnType:
    """A type that holds the values of both; ``exact`` says that a DOUBLE holds those of a and b if they are numbers."""
    if a == b:
        return a
    families = {a.family, b.family}
    if families <= {Family.INTEGER, Family.DECIMAL}:
        return _common_decimal(a, b)
    if families <= {Family.INTEGER, Family.DECIMAL, Family.FLOAT} and exact:
        return DOUBLE
    if families == {Family.OBJECT}:
        return _common_object(a, b)
    if families == {Family.LIST}:
        return ColumnType.list_of(_common(a.item, b.item, exact=_always_exact(a.item) and _always_exact(b.item)))
    return JSON if families & set(_NESTED) else TEXT


def _common_object(a: ColumnType, b: ColumnType) -> ColumnType:
    members = dict(a.children)
    for name, type_ in b.children:
        mine = members.get(name)
        exact = mine is not None and _always_exact(mine) and _always_exact(type_)
        members[name] = type_ if mine is None else _common(mine, type_, exact=exact)
    if len({name.encode().lower() for name in members}) < len(members):
        return JSON
    return ColumnType(name="STRUCT", children=tuple(members.items()))


def _common_decimal(a: ColumnType, b: ColumnType) -> ColumnType:
    if {a.family, b.family} == {Family.INTEGER} and "UBIGINT" not in (a.name, b.name):
        return BIGINT
    scale = max(a.scale or 0, b.scale or 0)
    digits = max(_whole_digits(a), _whole_digits(b))
    if digits + scale > _DECIMAL_DIGITS:
        return TEXT
    return ColumnType(name="DECIMAL", precision=digits + scale, scale=scale)


def _whole_digits(type_: ColumnType) -> int:
    if type_.precision is not None and type_.scale is not None:
        return type_.precision - type_.scale
    bits, signed = INTEGER_BITS[type_.name]
    return len(str(2 ** (bits - signed)))


def _always_exact(type_: ColumnType) -> bool:
    """Whether a DOUBLE holds every value of the type, and no other decimal has the same DOUBLE."""
    match type_.family:
        case Family.FLOAT:
            return type_.name == "DOUBLE"
        case Family.INTEGER:
            return INTEGER_BITS[type_.name][0] <= _SMALL_INTEGER_BITS
        case Family.DECIMAL:
            return type_.precision is not None and type_.precision <= _DIGITS_OF_DOUBLE
    return False


def _fits_double(run: Run, field: Field) -> bool:
    """Whether a DOUBLE holds every value of the column, by its type or by the statistics of the run."""
    if _always_exact(field.type) or field.type.family is not Family.INTEGER:
        return _always_exact(field.type)
    return all(abs(bound) <= _EXACT_IN_DOUBLE for bound in _bounds(run, field.name))


def _bounds(run: Run, name: str) -> Iterable[float]:
    for part in run.parts:
        for group in part.row_groups:
            statistics = group.statistics.get(name)
            if statistics is not None and statistics.nulls == group.rows:
                continue
            known = statistics is not None and statistics.minimum is not None and statistics.maximum is not None
            for bound in (statistics.minimum, statistics.maximum) if statistics is not None else ():
                yield int(bound) if bound is not None else float("inf")
            if not known:
                yield float("inf")


def _invalid(text: str) -> InvalidRequest:
    return InvalidRequest(f"{PARAMETER}: {text}", parameter=PARAMETER)
