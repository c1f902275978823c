"""The export formats as data rows (web/API.md, sections 3 and 5)."""

from dataclasses import dataclass

ROW_GROUP_ROWS = 122_880
"""Rows per row group of a Parquet file; the last row group of a range may have fewer."""


@dataclass(frozen=True, slots=True)
class Format:
    """One row: the parameter's value, the file extension, the media type and the options of DuckDB's COPY.

    ``compressed`` formats are compressed already, and are not text. ``max_rows``, without the header, and
    ``max_columns`` are the most that a file can have.
    """

    name: str
    extension: str
    content_type: str
    copy_options: str
    compressed: bool = False
    max_rows: int | None = None
    max_columns: int | None = None


@dataclass(frozen=True, slots=True)
class Compression:
    """One row: the parameter's value, what it adds to the file extension, and the media type of the compressed file."""

    name: str
    extension: str = ""
    content_type: str | None = None


MAX_CELL_UNITS = 32_767
"""UTF-16 code units in a cell of an xlsx file."""

_RAW = "FORMAT csv, QUOTE '', ESCAPE '', FORCE_QUOTE *"
"""Writes text unchanged: with FORCE_QUOTE the writer does not search for characters to quote; the quote is empty."""

_ROWS = (
    Format("csv", "csv", "text/csv; charset=utf-8", _RAW),
    # The bytes of FORMAT json with ARRAY, without DuckDB's search for characters to quote.
    Format(
        "json",
        "json",
        "application/json",
        f"{_RAW}, HEADER false, PREFIX '[\n\t', NEW_LINE ',\n\t', SUFFIX '\n]\n'",
    ),
    Format("jsonl", "jsonl", "application/jsonl", f"{_RAW}, HEADER false"),
    Format(
        "xlsx",
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        # The text of the rows within the XML of the sheet.
        f"{_RAW}, HEADER false, NEW_LINE '</row>'",
        compressed=True,
        # Of Excel's 1,048,576 rows, the header is one.
        max_rows=1_048_575,
        max_columns=16_384,
    ),
    Format(
        "parquet",
        "parquet",
        "application/vnd.apache.parquet",
        # A file joined from ranges has no Bloom filters, so no other may: equal requests give equal bytes.
        f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false",
        compressed=True,
    ),
)

FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}

COMPRESSIONS: dict[str, Compression] = {
    row.name: row
    for row in (
        Compression("none"),
        Compression("gzip", ".gz", "application/gzip"),
        Compression("zstd", ".zst", "application/zstd"),
    )
}
"""Compressions of a file, by their name in requests."""


def extension_of(format_: Format, compression: Compression) -> str:
    """The extension of a file's name: ``csv.gz``."""
    return f"{format_.extension}{compression.extension}"


def content_type_of(format_: Format, compression: Compression) -> str:
    """The media type of a file as it is stored."""
    return compression.content_type or format_.content_type


DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
"""CSV delimiters by their name in requests."""
