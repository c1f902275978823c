"""New names for the columns of a publisher's files (``--rename OLD=NEW``), whatever the kind of file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from engine.catalog.field_names import check_names
from engine.catalog.schema import Field
from engine.catalog.types import ColumnType
from engine.common.quoting import identifier
from engine.errors import InvalidInput, quoted_excerpt


class _Files(Protocol):
    @property
    def found(self) -> Mapping[str, ColumnType | None]: ...

    @property
    def parameters(self) -> dict[str, object]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def average_row(self) -> float: ...

    def select(self, fields: Sequence[Field]) -> str: ...


def renamed(names: Iterable[str], new_names: Mapping[str, str]) -> list[str]:
    """The names, with new ones where there are."""
    return [new_names.get(name, name) for name in names]


def check_all_found(found: Iterable[str], new_names: Mapping[str, str]) -> None:
    """Raise InvalidInput if a column that is to be renamed is in none of the files."""
    missing = new_names.keys() - set(found)
    if missing:
        raise InvalidInput(f"--rename: the files have no column {quoted_excerpt(min(missing))}.")


class RenamedFiles:
    """Files whose columns have other names than in the files."""

    def __init__(self, files: _Files, new_names: Mapping[str, str]) -> None:
        """Raises InvalidInput for a name that no column has, and for new names that fields cannot have."""
        check_all_found(files.found, new_names)
        self._files = files
        self._old_names = dict(zip(renamed(files.found, new_names), files.found, strict=True))
        check_names(renamed(files.found, new_names))

    @property
    def found(self) -> dict[str, ColumnType | None]:
        """The columns by their new names."""
        return {new: self._files.found[old] for new, old in self._old_names.items()}

    @property
    def parameters(self) -> dict[str, object]:
        """What `select` binds."""
        return self._files.parameters

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the files."""
        return self._files.notes

    @property
    def average_row(self) -> float:
        """That of the files."""
        return self._files.average_row

    def select(self, fields: Sequence[Field]) -> str:
        """The fields by their new names."""
        # For fields that are in none of the files: longer than the name of any column.
        unused = "_" * max((len(name) + 1 for name in self._files.found), default=1)
        old = [self._old_names.get(field.name) for field in fields]
        inner = [
            field.model_copy(update={"name": f"{unused}{number}" if name is None else name})
            for number, (field, name) in enumerate(zip(fields, old, strict=True))
        ]
        columns = ", ".join(
            f"{identifier(before.name)} AS {identifier(field.name)}"
            for before, field in zip(inner, fields, strict=True)
        )
        return f"SELECT {columns} FROM ({self._files.select(inner)})"  # noqa: S608  # quoted names
