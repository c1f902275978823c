"""Translates errors of DuckDB into those of the engine."""

import errno
import os
import re
from collections.abc import Mapping

import duckdb

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, LimitExceeded, SourceDamaged
from engine.execute.filesystems import PartFileSystem
from engine.execute.spill_limit import OUT_OF_MEMORY
from engine.sql.xlsx_cells import CELL_TOO_LONG

_MAX_LENGTH = 500
_PLACE = re.compile(r"\n\nLINE (\d+): (.*)\n( *\^)")
_CLASS = re.compile(r"^(?:[A-Z]\w* )+Error: ")
_PATH = re.compile(r"""(?<=file )(["'])/(?:(?!\1).)*?([^/"']*)\1""")
_OUR_NAME = re.compile(r" when casting from source column c\d+")
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


class CellTooLong(Exception):
    """A cell of a sheet is too long; the message is the name of its column."""


def is_disk_full(error: duckdb.Error) -> bool:
    """Whether DuckDB could not write a file for lack of space."""
    return _DISK_FULL in str(error)


def export_error(error: duckdb.Error, parts: PartFileSystem, cancel: CancelToken) -> BaseException:
    """The engine's error for an error of DuckDB, or that error itself if it has no cause outside the engine."""
    if parts.failure is not None:
        return parts.failure
    if cancel.cancelled:
        return Cancelled("The export was cancelled.")
    # DuckDB writes to disk only when it spills.
    if isinstance(error, duckdb.OutOfMemoryException) or is_disk_full(error):
        return LimitExceeded(OUT_OF_MEMORY)
    if isinstance(error, duckdb.InvalidInputException) and CELL_TOO_LONG in str(error):
        return CellTooLong(str(error).partition(CELL_TOO_LONG)[2])
    if isinstance(error, _UNREADABLE) or type(error) is duckdb.Error:
        return SourceDamaged("A part of the run cannot be read.")
    return error


def in_one_line(error: duckdb.Error) -> str:
    """DuckDB's message without the excerpt of the statement."""
    lines = str(error).split("\n\nLINE ")[0].split("\n\nAt:")[0].splitlines()
    text = " ".join(line.strip() for line in lines if line.strip())
    return text.removeprefix("Invalid Input Error: ")[:_MAX_LENGTH]


def reason_of(error: Exception) -> str:
    """The first line of an error of DuckDB or Arrow, for a publisher: files by their names, without their folders."""
    text = _CLASS.sub("", str(error).splitlines()[0])
    return _OUR_NAME.sub("", _PATH.sub(r"\1\2\1", text))[:_MAX_LENGTH].rstrip(".")


def place_of(
    connection: duckdb.DuckDBPyConnection, error: duckdb.Error, text: str, values: Mapping[str, object]
) -> str:
    """The lines in which DuckDB shows the place of an error in a statement, each after a line end; empty if unknown.

    DuckDB has it for statements that it executes, but not for relations, and in the text that it was given, which may
    contain the statement in another. So it explains the statement, which runs nothing, and fails in the same way.
    """
    try:
        connection.execute(f"EXPLAIN\n{text}", dict(values))
    except duckdb.Error as again:
        found = _PLACE.search(str(again))
        if found is not None and in_one_line(again) == in_one_line(error) and int(found[1]) > 1:
            number = str(int(found[1]) - 1)
            return f"\nLINE {number}: {found[2]}\n{found[3][len(found[1]) - len(number) :]}"
    return ""
