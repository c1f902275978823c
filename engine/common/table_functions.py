"""How DuckDB reads files here: exactly the files that are named, with the columns that are in them and no others.

Left to itself, DuckDB turns folders that are called ``key=value``, as those of runs are, into columns that replace the
files' own columns of that name. It also takes every path for a pattern: ``report[1].csv`` reads ``report1.csv``.
"""

import re
from pathlib import Path

from engine.errors import InvalidInput

_PATTERN_CHARACTERS = re.compile(r"[\[*?]")
_ESCAPED = re.compile(r"\[([\[*?])\]")

_OWN_COLUMNS = "hive_partitioning=false"


def exact_path(path: Path) -> str:
    """The absolute path as DuckDB has to be given it to open this file and no other.

    Raises InvalidInput for the one kind of name that DuckDB has no spelling for.
    """
    name = str(path.absolute())
    if "\\" in name and _PATTERN_CHARACTERS.search(name):
        # A pattern is split into folders at backslashes, too.
        raise InvalidInput(f"The path {name} has a backslash and one of * ? [ in it: rename the file or its folder.")
    return _PATTERN_CHARACTERS.sub(r"[\g<0>]", name)


def literal_path(path: str) -> str:
    """The name of the file that an `exact_path` opens."""
    return _ESCAPED.sub(r"\1", path)


def read_parquet(paths: str) -> str:
    """A table of Parquet files; ``paths`` is a parameter, or a list of quoted paths."""
    return f"read_parquet({paths}, {_OWN_COLUMNS})"


def read_csv(paths: str, options: str) -> str:
    """A table of CSV files."""
    return f"read_csv({paths}, {options}, {_OWN_COLUMNS})"


def read_json(paths: str, options: str) -> str:
    """A table of JSON files, by the columns that the options name."""
    return f"read_json({paths}, {options}, {_OWN_COLUMNS})"


def read_json_objects(paths: str, options: str) -> str:
    """A table of the whole objects of JSON files."""
    return f"read_json_objects({paths}, {options}, {_OWN_COLUMNS})"
