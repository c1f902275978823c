"""Row ids that a publisher's field gives: each row has one, no two have the same, and filters tell where they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from engine.catalog.catalog import ROW_ID_FILTERS_SUFFIX
from engine.catalog.manifest import RowGroup
from engine.catalog.schema import ROW_ID
from engine.common.table_functions import exact_path, read_parquet
from engine.errors import InvalidInput
from engine.execute.duckdb_errors import reason_of
from engine.plan.bloom_filters import build_filters


def check_row_ids(connection: duckdb.DuckDBPyConnection, spool: Sequence[Path], row_id: str) -> None:
    """Raise InvalidInput, with the rows, for an id that is missing or there twice; ``row_id`` is the field's name."""
    try:
        _find_repeated(connection, spool, row_id)
    except duckdb.Error as error:
        raise InvalidInput(f"The row ids cannot be checked: {reason_of(error)}.") from error


def _find_repeated(connection: duckdb.DuckDBPyConnection, spool: Sequence[Path], row_id: str) -> None:
    paths = {"paths": [exact_path(path) for path in spool]}
    # Hashes first: a table of the ids takes more memory and time.
    repeated_hashes_and_missing = connection.execute(
        f"SELECT count(*) - count(DISTINCT hash({ROW_ID})), count(*) - count(nullif({ROW_ID}, '')) "  # noqa: S608  # a constant name
        f"FROM {read_parquet('$paths')}",
        paths,
    ).fetchone()
    if repeated_hashes_and_missing == (0, 0):
        return
    repeated = connection.execute(
        f"SELECT {ROW_ID} FROM {read_parquet('$paths')} GROUP BY {ROW_ID} "  # noqa: S608  # a constant name
        f"HAVING count(*) > 1 OR {ROW_ID} IS NULL OR {ROW_ID} = '' LIMIT 1",
        paths,
    ).fetchone()
    if repeated is not None:
        numbered = f"SELECT {ROW_ID} AS id, row_number() OVER () AS row FROM {read_parquet('$paths')}"  # noqa: S608  # a constant name
        found = connection.execute(
            f"SELECT row FROM ({numbered}) WHERE id IS NOT DISTINCT FROM $id ORDER BY row LIMIT 2",  # noqa: S608  # a constant name
            {**paths, "id": repeated[0]},
        ).fetchall()
        first, *others = (f"{row:,}" for (row,) in found)
        what = (
            f"is not unique: {repeated[0]!r} stands in the rows {first} and {others[0]}"
            if repeated[0]
            else f"is missing in row {first}"
        )
        raise InvalidInput(f"The row id field {row_id} {what}: name another, or none to have row ids made.")


def write_filters(
    connection: duckdb.DuckDBPyConnection, parts: Mapping[Path, tuple[RowGroup, ...]]
) -> dict[Path, Path]:
    """Write the Bloom filters of each part into a file beside it. Raises InvalidInput."""
    written: dict[Path, Path] = {}
    try:
        for path, groups in parts.items():
            written[path] = path.with_suffix(ROW_ID_FILTERS_SUFFIX)
            written[path].write_bytes(b"".join(build_filters(connection, path, groups)))
    except duckdb.Error as error:
        raise InvalidInput(f"The filters of the row ids cannot be made: {reason_of(error)}") from error
    except OSError as error:
        raise InvalidInput(
            f"The filters of the row ids cannot be written to the spill folder: {error.strerror}."
        ) from error
    return written
