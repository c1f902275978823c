"""The modes in which answers are shown or written, as data rows: three drawings, and the formats of an export."""

from dataclasses import dataclass
from pathlib import Path

import click

from engine.request.formats import FORMATS, Format
from web.cli.shell.drawing import Drawing, draw_box, draw_lines, draw_markdown


@dataclass(frozen=True, slots=True)
class Mode:
    """One row: the name, the extension of files in it, and either a drawing or a format, which is exact."""

    name: str
    extension: str | None = None
    drawing: Drawing | None = None
    format: Format | None = None

    @property
    def binary(self) -> bool:
        """Whether a terminal cannot show it."""
        return self.format is not None and self.format.compressed


_ROWS = (
    Mode("box", "txt", drawing=draw_box),
    Mode("line", drawing=draw_lines),
    Mode("markdown", "md", drawing=draw_markdown),
    *(Mode(row.name, row.extension, format=row) for row in FORMATS.values()),
)

MODES = {row.name: row for row in _ROWS}

ALIASES = {"table": "box"}
"""Older names."""

_EXTENSIONS = {"ndjson": "jsonl"}
"""Other extensions of the same files."""

BOX = MODES["box"]


def mode_named(name: str) -> Mode | None:
    """The mode of that name or older name."""
    return MODES.get(ALIASES.get(name, name))


def mode_by_extension(path: Path) -> Mode | None:
    """The mode of files with that extension."""
    extension = path.suffix.removeprefix(".").lower()
    extension = _EXTENSIONS.get(extension, extension)
    return next((row for row in _ROWS if row.extension == extension), None)


def mode_of(path: Path | None, requested: str | None) -> Mode:
    """Return the requested mode, else the one of the file's extension; without a file, a box.

    Raises UsageError if the extension is that of another mode than the requested one, or of none if none is requested.
    """
    wanted = None if requested is None else mode_named(requested)
    if path is None:
        return wanted or BOX
    by_name = mode_by_extension(path)
    if wanted is not None and by_name not in (None, wanted):
        raise click.UsageError(f"--format {requested} contradicts the name {path.name}: omit --format, or rename FILE.")
    found = wanted or by_name
    if found is None:
        endings = ", ".join(f".{row.extension}" for row in _ROWS if row.extension)
        raise click.UsageError(f"The name {path.name} has no known format: end it with one of {endings}, or name one.")
    return found
