"""DuckDB's signed extensions from their wheels; nothing is downloaded."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import duckdb
import pytest


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension, or skip the test if its wheel is missing or of another version of DuckDB."""
    package = f"duckdb-extension-{name}"
    try:
        wheel = distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is missing: install it from requirements-dev.lock")
    if wheel.version != duckdb.__version__:
        pytest.skip(f"{package} is of DuckDB {wheel.version}, and this is {duckdb.__version__}")
    (file,) = (str(file.locate()) for file in wheel.files or () if Path(file).name == f"{name}.duckdb_extension")
    connection.execute(f"LOAD '{file}'")
