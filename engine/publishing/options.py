"""How a publisher's files are read: what the command line, the Python API and HTTP pass on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options that hold for all files of one run; None leaves the decision to the reader."""

    delimiter: str | None = None
    """One character between the cells of a CSV row."""
    encoding: str | None = None
    """Of text files: a Python codec name; UTF-8 (with or without a byte order mark) if not given."""
    skip_lines: int = 0
    """Lines before the header of a CSV file that are left out."""
    escape: str = '"'
    """The character before a quote inside a quoted CSV cell."""
    pad_short_rows: bool = False
    """Whether a CSV row with fewer cells than the header gets nulls; it is an error otherwise."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """New names of columns, by the names in the file."""
    rename_duplicates: bool = False
    """Whether the second column called ``x`` becomes ``x_2``; it is an error otherwise."""
    null: str | None = None
    """Text of an unquoted CSV cell that is null, beside the empty cell."""
    types: Literal["auto", "text"] = "auto"
    """Whether CSV columns get the types that keep every cell as it is written, or stay text."""
    format: str | None = None
    """One of `engine.publishing.file_kinds.FORMATS`; the names of the files decide, or else their content."""
    json_path: str | None = None
    """Dotted path of the list of rows within a JSON document."""
