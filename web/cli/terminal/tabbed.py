"""Tab-separated lists with a header, for people and for `cut`."""

import click


def print_cells(*cells: object) -> None:
    """Print one line; None becomes ``-``."""
    click.echo("\t".join("-" if cell is None else str(cell) for cell in cells))
