"""The destination of an export: standard output, or a file that appears complete or not at all."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import click

from engine.common.chunk import Chunk
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.stores.local.durable_files import write_all

STANDARD_OUTPUT = Path("-")


def format_of(path: Path, requested: str | None) -> str:
    """Return the requested format, else the one of the file's extension, else csv.

    Raises UsageError if the extension is that of another format than the requested one.
    """
    name = path.name.lower()
    for compression in COMPRESSIONS.values():
        name = name.removesuffix(compression.extension) or name
    extension = Path(name).suffix.removeprefix(".")
    named = next((row.name for row in FORMATS.values() if row.extension == extension), None)
    if requested is not None and named not in (None, requested):
        raise click.UsageError(f"--format {requested} contradicts the name {path.name}: omit --format, or rename FILE.")
    return requested or named or "csv"


def compression_of(path: Path, requested: str | None) -> str:
    """Return the requested compression, else the one of the file's extension, else none.

    Raises UsageError if the extension is that of another compression than the requested one.
    """
    suffix = path.suffix.lower()
    named = next((row.name for row in COMPRESSIONS.values() if row.extension and row.extension == suffix), None)
    if requested is not None and named not in (None, requested):
        raise click.UsageError(
            f"--compression {requested} contradicts the name {path.name}: omit --compression, or rename FILE."
        )
    return requested or named or "none"


def check_output(path: Path, *, force: bool, binary: str | None) -> None:
    """Refuse a destination that cannot be written, before any work is done. ``binary`` names what is not text."""
    if path == STANDARD_OUTPUT:
        if binary and sys.stdout.isatty():
            raise click.UsageError(f"{binary} cannot be printed to a terminal: use -o FILE, or redirect the output.")
    elif path.exists() and not path.is_file():
        raise click.ClickException(f"{path} is not a regular file: use -o - and redirect the output.")
    elif path.exists() and not force:
        raise _exists(path)
    elif not path.resolve().parent.is_dir():
        raise click.ClickException(f"{path} cannot be written: there is no directory {path.parent}.")


@contextmanager
def open_output(path: Path, *, force: bool) -> Iterator[Callable[[Chunk], object]]:
    """Yield the write function of a new file, which gets its name in one step when the block succeeds."""
    if path == STANDARD_OUTPUT:
        # Unbuffered: flushing a buffer on exit would block if the reader has stopped reading.
        yield partial(write_all, sys.stdout.fileno())
        return
    # A symbolic link stays one; its target is written.
    target = path.resolve()
    fresh = target.with_name(f".tailrace-{secrets.token_hex(6)}.part")
    try:
        with fresh.open("xb") as file:
            if target.exists():
                # Keep the permissions of the file that is replaced.
                shutil.copymode(target, fresh)
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        _rename(fresh, target, force=force)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _rename(fresh: Path, target: Path, *, force: bool) -> None:
    if not force:
        try:
            # Unlike a rename, this fails if the file was created meanwhile.
            target.hardlink_to(fresh)
        except FileExistsError:
            raise
        except OSError:
            # On a file system without hard links, check and rename.
            if target.exists():
                raise FileExistsError from None
        else:
            return
    fresh.replace(target)


def _exists(path: Path) -> click.ClickException:
    return click.ClickException(f"{path} exists already: use another name, or --force to replace it.")
