"""Where an exported file goes: standard output, or a file that appears whole or not at all."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import click

from engine.stores.local.durable_files import write_all

STANDARD_OUTPUT = Path("-")


def check_output(path: Path, *, force: bool, binary: bool) -> None:
    """Refuse, before any work is done, what could not be written in the end."""
    if path == STANDARD_OUTPUT:
        if binary and sys.stdout.isatty():
            raise click.UsageError("Parquet is not for a terminal: give -o FILE, or redirect the output.")
    elif path.exists() and not path.is_file():
        raise click.ClickException(f"{path} is not an ordinary file: give -o - and redirect the output.")
    elif path.exists() and not force:
        raise _taken(path)
    elif not path.resolve().parent.is_dir():
        raise click.ClickException(f"{path} cannot be written: there is no directory {path.parent}.")


@contextmanager
def open_output(path: Path, *, force: bool) -> Iterator[Callable[[bytes], object]]:
    """What writes to the file; if the block ends well, it takes its name in one step, else nothing of it stays."""
    if path == STANDARD_OUTPUT:
        # Unbuffered: what waits in a buffer would hold up the end of a command whose reader has stopped reading.
        yield partial(write_all, sys.stdout.fileno())
        return
    # A link stays one, and its target is what is written.
    wanted = path.resolve()
    fresh = wanted.with_name(f".tailrace-{secrets.token_hex(6)}.part")
    try:
        with fresh.open("xb") as file:
            if wanted.exists():
                # What was private before stays so.
                shutil.copymode(wanted, fresh)
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        _name(fresh, wanted, force=force)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _name(fresh: Path, wanted: Path, *, force: bool) -> None:
    if not force:
        try:
            # Unlike a renaming, it fails where somebody made a file of that name meanwhile.
            wanted.hardlink_to(fresh)
        except FileExistsError:
            raise
        except OSError:
            # A file system without links: the look is all that there is.
            if wanted.exists():
                raise FileExistsError from None
        else:
            return
    fresh.replace(wanted)


def _taken(path: Path) -> click.ClickException:
    return click.ClickException(f"{path} is there already: give another name, or --force to replace it.")
