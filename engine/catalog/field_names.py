"""Checks of field names. Names are stored as the publisher wrote them, or refused."""

from collections.abc import Iterable
from shlex import quote

from engine.errors import InvalidInput

MAX_COLUMNS = 10_000
"""Columns of a run, at most."""
_RESERVED = {"file_row_number", "file_index"}
"""The virtual columns of DuckDB's `read_parquet`."""


def check_names(names: Iterable[str | None], *, within: str = "") -> None:
    """Raise InvalidInput for a missing, reserved or duplicate name; ``within`` names the object that has the members.

    DuckDB compares names without regard to case.
    """
    what = f"A member of {within}" if within else "A column"
    seen: dict[str, str] = {}
    for name in names:
        if not name:
            raise InvalidInput(f"{what} has an empty name: rename it{_remedy('', within)}.")
        if "\x00" in name:
            raise InvalidInput(f"{what} has a name with a NUL character: rename it.")
        if not within and (name.lower() in _RESERVED or name.startswith("_")):
            raise InvalidInput(f"The column name {name!r} is reserved: rename it with --rename {name}=NEW.")
        if name.lower() in seen:
            raise InvalidInput(
                f"{what} is named {seen[name.lower()]!r} and another {name!r}; names must differ in more than letter "
                f"case: rename one{_remedy(name, within)}."
            )
        seen[name.lower()] = name


def _remedy(name: str, within: str) -> str:
    """Only columns can be renamed by an option."""
    return "" if within else f" with --rename {quote(f'{name}=NEW')}"
