"""Translates errors of DuckDB into those of the engine."""

import errno
import os

import duckdb

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded, SourceDamaged
from engine.execute.filesystems import PartFileSystem
from engine.execute.spill_limit import OUT_OF_MEMORY

_DISK_FULL = os.strerror(errno.ENOSPC)

_UNREADABLE = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    # DuckDB tries a missing file as a folder, which is not on the allow-list.
    duckdb.PermissionException,
    # A column of the manifest is missing in the part, or has another type.
    duckdb.BinderException,
)
"""What DuckDB raises for a damaged part; for a bad footer it raises the base class itself."""


def export_error(error: duckdb.Error, parts: PartFileSystem, cancel: CancelToken) -> BaseException:
    """The engine's error for an error of DuckDB, or that error itself if it has no cause outside the engine."""
    if parts.failure is not None:
        return parts.failure
    if cancel.cancelled:
        return Cancelled("The export was cancelled.")
    # DuckDB writes to disk only when it spills.
    if isinstance(error, duckdb.OutOfMemoryException) or _DISK_FULL in str(error):
        return LimitExceeded(OUT_OF_MEMORY)
    if isinstance(error, _UNREADABLE) or type(error) is duckdb.Error:
        return SourceDamaged("A part of the run cannot be read.")
    return error
