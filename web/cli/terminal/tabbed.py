"""Lists with a header: aligned for people at a terminal, tab-separated for `cut`."""

import sys
from collections.abc import Iterable, Sequence

import click


def print_rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print the header and one line for each row; None becomes ``-``."""
    lines = [_texts(row) for row in (header, *rows)]
    if not sys.stdout.isatty():
        click.echo("\n".join(map("\t".join, lines)))
        return
    widths = [max(width_of(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (text + " " * (width - width_of(text)) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def width_of(text: str) -> int:
    """The number of cells that a terminal shows of a line."""
    if text.isascii():
        return len(text)
    # Imported here: its tables take 10 ms, and most text is ASCII.
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def _texts(row: Sequence[object]) -> list[str]:
    return ["-" if cell is None else str(cell) for cell in row]
