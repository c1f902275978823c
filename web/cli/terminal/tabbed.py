"""Lists for people and for `cut`: tab-separated, the header first."""

import click


def print_cells(*cells: object) -> None:
    """One line."""
    click.echo("\t".join("-" if cell is None else str(cell) for cell in cells))
