"""Of which kind a publisher's file is: by its name, or else by its first bytes."""

import codecs
import re
from pathlib import Path

from engine.errors import InvalidInput

EXTENSIONS: dict[str, tuple[str, ...]] = {
    "CSV": (".csv", ".tsv", ".tab"),
    "JSON": (".json",),
    "NDJSON": (".ndjson", ".jsonl"),
    "GeoJSON": (".geojson",),
    "Parquet": (".parquet", ".pq", ".geoparquet"),
}
"""The kinds, and the names that their files end in."""

_FORMATS = {name.lower(): name for name in EXTENSIONS} | {"tsv": "CSV"}
FORMATS = tuple(_FORMATS)
"""What a publisher may say that files are."""

_SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
_START_BYTES = 64 * 1024
_FOREIGN = (
    (0, b"PK\x03\x04", "a ZIP archive or a spreadsheet: unpack it, or save its sheet as CSV"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (0, b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (257, b"ustar", "a tar archive: unpack it"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file: save its sheet as CSV (UTF-8)"),
    (0, b"%PDF-", "a PDF document: extract its tables to CSV"),
    (0, b"<?xml", "XML: convert it to CSV or JSON"),
    (0, b"SQLite format 3\0", "a SQLite database: export its table as CSV"),
    (0, b"Obj\x01", "Avro: convert it to Parquet"),
    (0, b"ORC", "ORC: convert it to Parquet"),
    (0, b"ARROW1", "an Arrow file: write it as Parquet, or pass its table to engine.publish"),
    (0, b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS: fetch the file itself with git lfs pull"),
)
"""What is no file of rows, whatever its name: where it has which bytes, and what to say."""
_JSON_START = re.compile(rb"\s*(\[\s*\{|\{\s*\")")
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def kind_of(path: Path, format_name: str | None = None) -> str:
    """One of `EXTENSIONS`. Raises InvalidInput for what cannot be published, with what to do."""
    suffix = path.suffix.lower()
    if suffix in _SPREADSHEETS:
        raise InvalidInput(
            f"{path.name} is a spreadsheet, whose cells have no types of their own: save the sheet as CSV (UTF-8), or "
            "write it with pandas: pandas.read_excel(file, dtype=str).to_csv(...)."
        )
    if format_name is not None:
        if format_name not in _FORMATS:
            raise InvalidInput(f"There is no format {format_name!r}: use one of {', '.join(_FORMATS)}.")
        return _FORMATS[format_name]
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    named = next((kind for kind, extensions in EXTENSIONS.items() if suffix in extensions), None)
    foreign = next((what for place, mark, what in _FOREIGN if _has(start, mark, place)), None)
    if foreign is not None:
        raise InvalidInput(f"{path.name} is {foreign}.")
    if named is not None:
        _check_content(path, named, start)
    return named or _kind_by_content(path, start)


def _check_content(path: Path, kind: str, start: bytes) -> None:
    """Raise InvalidInput for a file of another kind than its name says."""
    if kind != "Parquet" and _has(start, b"PAR1"):
        raise InvalidInput(f"{path.name} is Parquet, not {kind}: use --format parquet.")
    if kind == "CSV" and _JSON_START.match(start.removeprefix(codecs.BOM_UTF8)):
        raise InvalidInput(f"{path.name} is JSON, not CSV: use --format json.")


def _has(start: bytes, mark: bytes, place: int = 0) -> bool:
    """Whether a file has the mark; one of letters may be the beginning of a text."""
    return start.startswith(mark, place) and (b"\0" in start or not mark.isalnum())


def _kind_by_content(path: Path, start: bytes) -> str:
    if start.startswith(b"PAR1"):
        return "Parquet"
    if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{"):
        return "JSON"
    is_text = start.startswith(_WIDE_MARKS) or b"\0" not in start
    if is_text and (b"\n" in start or b"\r" in start):
        return "CSV"
    known = ", ".join(extension for extensions in EXTENSIONS.values() for extension in extensions)
    raise InvalidInput(
        f"The file {path.name} is of no known kind: its name should end in one of {known}, or say what it is with "
        "--format. If it is compressed, by something else than gzip or zstd, unpack it first."
    )
