"""Of which kind a publisher's file is: by its name, or else by its first bytes."""

import codecs
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
    named = next((kind for kind, extensions in EXTENSIONS.items() if suffix in extensions), None)
    return named or _kind_by_content(path)


def _kind_by_content(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if start.startswith(b"PAR1"):
        return "Parquet"
    if start.startswith(b"PK\x03\x04"):
        raise InvalidInput(f"{path.name} is a ZIP archive or a spreadsheet: unpack it, or save its sheet as CSV.")
    if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{"):
        return "JSON"
    is_text = start.startswith(_WIDE_MARKS) or b"\0" not in start
    if is_text and (b"\n" in start or b"\r" in start):
        return "CSV"
    known = ", ".join(extension for extensions in EXTENSIONS.values() for extension in extensions)
    raise InvalidInput(
        f"The file {path.name} is of no known kind: its name should end in one of {known}, or say what it is with "
        "--format."
    )
