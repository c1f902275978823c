"""New names for the columns of a publisher's files (``--rename``, ``--rename-duplicates``)."""

from collections.abc import Iterable, Mapping, Sequence

from engine.catalog.field_names import check_names
from engine.errors import InvalidInput, quoted_excerpt
from engine.publishing.options import ReadOptions


def renamed(names: Iterable[str], new_names: Mapping[str, str]) -> list[str]:
    """The names, with new ones where there are."""
    return [new_names.get(name, name) for name in names]


def check_all_found(found: Iterable[str], new_names: Mapping[str, str]) -> None:
    """Raise InvalidInput if a column that is to be renamed is in none of the files."""
    missing = new_names.keys() - set(found)
    if missing:
        raise InvalidInput(f"--rename: the files have no column {quoted_excerpt(min(missing))}.")


def names_in_run(file: str, names: Sequence[str], options: ReadOptions) -> tuple[tuple[str, ...], list[str]]:
    """What the columns of a file are called in the run, and what has to be said of it. Raises InvalidInput."""
    distinct, changed = _unique(renamed(names, options.rename))
    if changed and not options.rename_duplicates:
        new, name = next(iter(changed.items()))
        raise InvalidInput(
            f"{file}: more than one column is called {name!r} (letter case does not tell names apart). "
            f"Use --rename-duplicates to call the next one {new!r}."
        )
    check_names(distinct)
    return distinct, [f"{file}: columns that repeat a name are called {', '.join(changed)}."] if changed else []


def _unique(names: Sequence[str]) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The names with ``_2`` and so on behind repeated ones, letter case aside; and the new names by the old ones."""
    taken, result, changed = {name.lower() for name in names}, [], {}
    seen: set[str] = set()
    for name in names:
        new, number = name, 2
        if name.lower() in seen:
            while (new := f"{name}_{number}").lower() in taken:
                number += 1
            taken.add(new.lower())
            changed[new] = name
        seen.add(new.lower())
        result.append(new)
    return tuple(result), changed
