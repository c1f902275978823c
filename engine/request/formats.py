"""The file formats as data rows (web/API.md, sections 3 and 5)."""

from dataclasses import dataclass

ROW_GROUP_ROWS = 122_880
"""Rows of a row group of a Parquet file, but for the last of a range."""


@dataclass(frozen=True, slots=True)
class Format:
    """One row: the name that callers use, the file's extension and media type, and how DuckDB is told to write it."""

    name: str
    extension: str
    content_type: str
    copy_options: str


_RAW = "FORMAT csv, QUOTE '', ESCAPE '', FORCE_QUOTE *"
"""Texts are written as they are: with quotes forced the writer does not look for what needs them, and has none."""

_ROWS = (
    Format("csv", "csv", "text/csv; charset=utf-8", _RAW),
    # What DuckDB makes of FORMAT json and ARRAY, but for its look at each character that could need a quote.
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
        # Joined files have no Bloom filters, and the same request has the same bytes however it was run.
        f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false",
    ),
)

FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
"""What may stand between the cells of a CSV file, by the name that callers use."""
