"""What an error of DuckDB means for an export."""

import errno
import os

import duckdb

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded, SourceDamaged
from engine.execute.filesystems import PartFileSystem
from engine.execute.spill_limit import TOO_LARGE

_DISK_FULL = os.strerror(errno.ENOSPC)

_UNREADABLE = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    # DuckDB looks for a part whose file is gone as a folder, which the fence refuses.
    duckdb.PermissionException,
    # The part lacks a column of the manifest, or has it with another type.
    duckdb.BinderException,
)
"""What DuckDB raises for a damaged part; for a bad footer it raises its bare Error."""


def export_error(error: duckdb.Error, parts: PartFileSystem, cancel: CancelToken) -> BaseException:
    """The error of ours that DuckDB's stands for; one that nobody else has caused is returned as it is."""
    if parts.failure is not None:
        return parts.failure
    if cancel.cancelled:
        return Cancelled("The export was cancelled.")
    # DuckDB itself writes to a disk only when it spills.
    if isinstance(error, duckdb.OutOfMemoryException) or _DISK_FULL in str(error):
        return LimitExceeded(TOO_LARGE)
    if isinstance(error, _UNREADABLE) or type(error) is duckdb.Error:
        return SourceDamaged("A part of the run cannot be read.")
    return error
