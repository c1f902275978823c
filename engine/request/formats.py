"""The export formats as data rows (web/API.md, sections 3 and 5)."""

from dataclasses import dataclass

ROW_GROUP_ROWS = 122_880
"""Rows per row group of a Parquet file; the last row group of a range may have fewer."""


@dataclass(frozen=True, slots=True)
class Format:
    """One row: the parameter's value, the file extension, the media type and the options of DuckDB's COPY."""

    name: str
    extension: str
    content_type: str
    copy_options: str


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
    Format(
        "parquet",
        "parquet",
        "application/vnd.apache.parquet",
        # A file joined from ranges has no Bloom filters, so no other may: equal requests give equal bytes.
        f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false",
    ),
)

FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
"""CSV delimiters by their name in requests."""
