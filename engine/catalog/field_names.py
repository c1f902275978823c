"""Names that a field may have: what a publisher brings is kept as it is, or refused with the reason."""

from collections.abc import Iterable

from engine.errors import InvalidInput

_RESERVED = {"file_row_number", "file_index"}
"""Names by which DuckDB tells rows of Parquet files apart."""


def check_names(names: Iterable[str | None], *, within: str = "") -> None:
    """Raise InvalidInput unless DuckDB can keep these names apart; ``within`` names the object that has them."""
    what = f"A member of {within}" if within else "A column"
    seen: dict[str, str] = {}
    for name in names:
        if not name or "\x00" in name:
            raise InvalidInput(f"{what} has an empty name, or one with a NUL in it: name it.")
        if not within and (name.lower() in _RESERVED or name.startswith("_")):
            raise InvalidInput(f"The column name {name!r} is reserved: rename it with --rename {name}=NEW.")
        if name.lower() in seen:
            raise InvalidInput(
                f"{what} is named {seen[name.lower()]!r}, another {name!r}, and letter case does not tell names apart: "
                "rename one."
            )
        seen[name.lower()] = name
