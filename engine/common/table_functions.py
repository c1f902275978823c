"""DuckDB's table functions, called so that they read exactly the named files and the columns in them.

By default DuckDB turns folders with names like ``key=value``, which runs have, into columns that replace the files'
columns of that name. It also treats every path as a glob pattern: ``report[1].csv`` reads ``report1.csv``.
"""

import re
from pathlib import Path

from engine.errors import InvalidInput

_PATTERN_CHARACTERS = re.compile(r"[\[*?]")
_ESCAPED = re.compile(r"\[([\[*?])\]")

_FILE_COLUMNS_ONLY = "hive_partitioning=false"


def exact_path(path: Path) -> str:
    """The absolute path, escaped as a pattern that matches this file alone.

    Raises InvalidInput for a path that DuckDB cannot be told: one with a backslash and a pattern character, which it
    cannot escape, and one that is not UTF-8.
    """
    name = str(path.absolute())
    if any("\udc80" <= character <= "\udcff" for character in name):
        raise InvalidInput(f"The path {name!a} is not UTF-8: rename the file or folder.")
    if "\\" in name and _PATTERN_CHARACTERS.search(name):
        # DuckDB also splits a pattern into folders at backslashes.
        raise InvalidInput(f"The path {name} has a backslash and one of * ? [ in it: rename the file or folder.")
    return _PATTERN_CHARACTERS.sub(r"[\g<0>]", name)


def literal_path(path: str) -> str:
    """The path that `exact_path` escaped."""
    return _ESCAPED.sub(r"\1", path)


def read_parquet(paths: str) -> str:
    """SQL for a table of Parquet files; ``paths`` is a parameter, or a list of quoted paths."""
    return f"read_parquet({paths}, {_FILE_COLUMNS_ONLY})"


def read_json(paths: str, options: str) -> str:
    """SQL for a table of JSON files, with the columns that the options name."""
    return f"read_json({paths}, {options}, {_FILE_COLUMNS_ONLY})"


def read_json_objects(paths: str, options: str) -> str:
    """SQL for a table of the objects of JSON files, one in each row."""
    return f"read_json_objects({paths}, {options}, {_FILE_COLUMNS_ONLY})"
