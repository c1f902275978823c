"""New names for the columns of a publisher's files (``--rename OLD=NEW``), whatever the kind of file."""

from collections.abc import Iterable, Mapping

from engine.errors import InvalidInput, quoted_excerpt


def renamed(names: Iterable[str], new_names: Mapping[str, str]) -> list[str]:
    """The names, with new ones where there are."""
    return [new_names.get(name, name) for name in names]


def check_all_found(found: Iterable[str], new_names: Mapping[str, str]) -> None:
    """Raise InvalidInput if a column that is to be renamed is in none of the files."""
    missing = new_names.keys() - set(found)
    if missing:
        raise InvalidInput(f"--rename: the files have no column {quoted_excerpt(min(missing))}.")
