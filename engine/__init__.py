"""The export engine: Parquet, SQL, DuckDB and object stores, without HTTP.

Its public Python API publishes tables as runs, and exports runs to files::

    import pyarrow as pa
    from engine import AlreadyPublished, export, publish

    rows = [{"sku": "A1", "price": 19.99}, {"sku": "B2", "price": None}]
    try:
        run = publish(pa.Table.from_pylist(rows), workflow="prices", run="2026-11-30", row_id="sku")
        print(f"{run.rows} rows, {[column.name for column in run.columns]}")
    except AlreadyPublished:
        pass  # the run has been published before
    file = export("prices", "cheap.csv", filters=[{"field": "price", "operator": "LESS_THAN", "value": 20}])
    print(file.path, file.rows, file.sha256)

Importing it loads neither DuckDB nor pyarrow, reads no environment variable, and has no side effects.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.errors import AlreadyPublished, Conflict, EngineError, InvalidInput, InvalidRequest, NotFound
    from engine.publishing.options import ReadOptions
    from engine.python_api import Column, ExportedFile, PublishedRun, export, publish
    from engine.request.request import CsvOptions

_MODULES = {
    "publish": "engine.python_api",
    "export": "engine.python_api",
    "PublishedRun": "engine.python_api",
    "ExportedFile": "engine.python_api",
    "Column": "engine.python_api",
    "ReadOptions": "engine.publishing.options",
    "CsvOptions": "engine.request.request",
    "EngineError": "engine.errors",
    "InvalidInput": "engine.errors",
    "InvalidRequest": "engine.errors",
    "NotFound": "engine.errors",
    "Conflict": "engine.errors",
    "AlreadyPublished": "engine.errors",
}

__all__ = [
    "AlreadyPublished",
    "Column",
    "Conflict",
    "CsvOptions",
    "EngineError",
    "ExportedFile",
    "InvalidInput",
    "InvalidRequest",
    "NotFound",
    "PublishedRun",
    "ReadOptions",
    "export",
    "publish",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing a subpackage does not load the API."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
