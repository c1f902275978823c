"""Parquet files as other tools write them: what is read exactly, what is said, and what is refused with its place."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import InvalidInput
from engine.publishing.options import ReadOptions
from tests.helpers.engine import Engine

EVER = [datetime(1, 1, 1), datetime(1677, 9, 21, 0, 12, 43), None, datetime(9999, 12, 31, 23, 59, 59, 999999)]  # noqa: DTZ001  # INT96 has no zone


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def test_moments_of_int96_are_exact_in_every_year_and_whole_microseconds(engine: Engine) -> None:
    file = engine.folder / "moments.parquet"
    table = pa.table({"t": pa.array(EVER, pa.timestamp("us")), "nested": [[{"t": moment}] for moment in EVER]})
    pq.write_table(table, file, use_deprecated_int96_timestamps=True)
    assert [group.physical_type for group in pq.ParquetFile(file).schema] == ["INT96", "INT96"]
    engine.publish(file)
    exported = pq.read_table(io.BytesIO(engine.export_bytes("parquet"))).to_pylist()
    moments = [None if moment is None else moment.replace(tzinfo=UTC) for moment in EVER]
    assert exported == [{"t": moment, "nested": [{"t": moment}]} for moment in moments]

    for nested in (False, True):
        moments = pa.array([0, 1_000, 5_001], pa.timestamp("ns"))
        column = pa.ListArray.from_arrays([0, 1, 2, 3], moments) if nested else moments
        pq.write_table(pa.table({"n": [1, 2, 3], "t": column}), file, use_deprecated_int96_timestamps=True)
        with pytest.raises(InvalidInput, match=r"moments.parquet, row 3: the column t has nanoseconds.*: round"):
            engine.publish(file, run="nanoseconds")


def test_what_parquet_stores_as_bare_values_is_said(engine: Engine) -> None:
    laps = pa.array([timedelta(seconds=5), None], pa.duration("us"))
    table = pa.table(
        {
            "lap": laps,
            "laps": pa.ListArray.from_arrays([0, 1, 2], laps),
            "flag": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())),
            "id": pa.array([b"a" * 16, b"b" * 16], pa.uuid()),
        }
    )
    notes = engine.publish(engine.write_parquet(table)).notes
    durations = "has durations, which Parquet stores as bare numbers: here they are whole numbers of microseconds."
    assert notes == (
        f"lap {durations}",
        f"laps.element {durations}",
        "flag has values of arrow.bool8, which Parquet stores as int8: they are published as such.",
    )
    assert [row["lap"] for row in engine.export_rows()] == [5_000_000, None]


def test_values_in_the_names_of_folders_are_said_to_be_left_out(engine: Engine) -> None:
    table = pa.table({"n": [1], "kind": ["x"]})
    files = [engine.folder / f"day={day}" / "kind=x" / "part.parquet" for day in (1, 2)]
    for file in files:
        file.parent.mkdir(parents=True)
        pq.write_table(table, file)
    run = engine.publish(*files)
    assert [field.name for field in run.table.delivered] == ["n", "kind"]
    (note,) = run.notes
    assert note.startswith("The names of folders (day=...) are not part of the rows")
    assert "hive_partitioning" in note


def broken_text() -> pa.Array:
    """Three texts, of which the second is not UTF-8."""
    return pa.Array.from_buffers(pa.string(), 3, pa.array([b"ok", b"\xff\xfe", b"x"]).buffers())


def zeroed(content: bytes, column: int) -> bytes:
    """The second half of a column's page is zeros, as after a copy that was cut."""
    found = pq.read_metadata(io.BytesIO(content)).row_group(0).column(column)
    half = found.total_compressed_size // 2
    start = found.data_page_offset + half
    return content[:start] + bytes(half) + content[start + half :]


def written(table: pa.Table, **options: str | bool) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, use_dictionary=False, **options)
    return file.getvalue()


TEXTS = pa.table({"n": range(1_000), "text": [f"text {number}" for number in range(1_000)]})
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "text that is not UTF-8": (
        lambda: written(pa.table({"n": [1, 2, 3], "text": broken_text()})),
        r"rows.parquet, row 2: the column text has text that is not UTF-8",
    ),
    "such text in lists": (
        lambda: written(pa.table({"text": pa.ListArray.from_arrays([0, 0, 1, 2, 3], broken_text())})),
        r"rows.parquet, row 3: the column text has text that is not UTF-8",
    ),
    **{
        f"a cut page of {compression}": (
            lambda compression=compression: zeroed(written(TEXTS, compression=compression), 1),  # type: ignore[misc]  # a default of a lambda
            r"rows.parquet is damaged: the column text cannot be read after row 0 \(.*copy",
        )
        for compression in ("snappy", "gzip")
    },
    "a file that is cut": (lambda: written(TEXTS)[:-20], "rows.parquet is cut.*copy"),
    "a file of another kind": (lambda: b"a,b\n1,2\n", "rows.parquet is not Parquet.*--format"),
    "no columns": (lambda: written(pa.table({"a": [1]}).select([])), "rows.parquet has no columns"),
    "an empty file": (lambda: b"", "rows.parquet is not Parquet.*--format"),
    "an encrypted file": (lambda: b"PARE" + bytes(100) + b"PARE", "rows.parquet is encrypted"),
    "too many columns": (lambda: written(pa.table({f"c{n}": [1] for n in range(10_001)})), "more than 10,000 columns"),
    "the year 10000": (
        lambda: written(pa.table({"t": pa.array([253402300800], pa.timestamp("s"))})),
        "row 1 and column 't': .* years 1 to 9999",
    ),
}


def test_a_refusal_names_what_is_wrong_and_where(engine: Engine) -> None:
    for content, message in REFUSED.values():
        with pytest.raises(InvalidInput, match=message):
            engine.publish(engine.write("rows.parquet", content()))
    assert engine.keys("w/") == []


def test_columns_of_one_name_can_be_renamed(engine: Engine) -> None:
    file = engine.write_parquet(pa.Table.from_arrays([pa.array([number]) for number in range(3)], ["a", "a", "A"]))
    with pytest.raises(InvalidInput, match=r"rows.parquet: more than one column is called 'a'.*--rename-duplicates"):
        engine.publish(file)
    run = engine.publish(file, options=ReadOptions(rename_duplicates=True))
    assert run.notes == ("rows.parquet: columns that repeat a name are called a_2, A_3.",)
    assert engine.export_rows() == [{"a": 0, "a_2": 1, "A_3": 2}]


def test_decimals_of_256_bits_with_few_digits_are_exact(engine: Engine) -> None:
    engine.publish(engine.write_parquet(pa.table({"d": pa.array([-12345], pa.int64()).cast(pa.decimal256(38, 2))})))
    assert engine.export_bytes("csv").splitlines() == [b"d", b"-12345.00"]
