"""How DuckDB reads files here: they have the columns that are in them, and no others.

Left to itself it makes columns of folders that are called ``key=value``, as those of runs are, in the place of the
files' own columns of that name.
"""

_OWN_COLUMNS = "hive_partitioning=false"


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
