"""The encoding of a text file: stated by the publisher, told by a byte order mark, or UTF-8."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from engine.common.cancellation import checkpoint
from engine.errors import InvalidInput

UTF8 = "utf-8-sig"
"""UTF-8 with or without a byte order mark."""

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks that decide an encoding; the marks of UTF-32 begin with one of UTF-16, so they come first."""
_OFTEN = ("utf-8", "cp1252")
"""What files are that are not in the encoding they should be in."""
_WIDE = ("utf-16-le", "utf-16-be")
_NOT_TEXT = {"utf-7", "unicode-escape", "unicode_escape", "raw-unicode-escape", "raw_unicode_escape"}
"""Codecs that make halves of surrogate pairs, which no export can hold."""
_CONTROL = frozenset("\0\1\2\3\4\5\6\7\x08\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19")
"""Characters that text does not have, and most compressed and binary files do."""
_READ_BYTES = 1 << 20
_START_BYTES = 1 << 16


def encoding_of(path: Path, stated: str | None) -> str:
    """The Python codec that decodes the file. Raises InvalidInput for a name that is no text encoding."""
    if stated is not None:
        try:
            codec = codecs.lookup(stated)
            "".encode(codec.name)
            if codec.name in _NOT_TEXT:
                raise LookupError(codec.name)
        except (LookupError, ValueError) as error:
            raise InvalidInput(
                f"Unknown encoding {stated!r}: use utf-8, utf-16, latin-1, cp1252, or another name of Python's codecs."
            ) from error
        return UTF8 if codec.name == "utf-8" else codec.name
    return marked_encoding(path) or UTF8


def marked_encoding(path: Path) -> str | None:
    """The encoding that the byte order mark of a file names, other than UTF-8."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def unmarked_encoding(path: Path) -> str | None:
    """UTF-16 without its byte order mark, by the NUL bytes that ASCII has in it; None for other files."""
    start = _start(path)
    high, low = start[::2].count(0), start[1::2].count(0)
    if high == low:
        return None
    name = "utf-16-be" if high > low else "utf-16-le"
    is_text = _CONTROL.isdisjoint(start.decode(name, "ignore"))
    return name if is_text and _decodes(path, name) else None


def open_text(path: Path, encoding: str) -> TextIO:
    """The file as text, with the line ends that it has."""
    return path.open(encoding=encoding, newline="")


def undecodable(path: Path, encoding: str) -> InvalidInput:
    """The error for a file that is not in that encoding: its first line that cannot be decoded."""
    line, problem = _first_problem(path, encoding)
    name = "UTF-8" if encoding == UTF8 else encoding
    others = (other for other in _OFTEN if other != encoding and _decodes(path, other))
    # Every byte is a character of latin-1, but NUL is no letter.
    other = unmarked_encoding(path) if _has_nul(path) else next(others, "latin-1")
    if encoding == UTF8 and other not in _WIDE and not _CONTROL.isdisjoint(_start(path).decode("latin-1")):
        return InvalidInput(
            f"{path.name}, line {line:,}: {problem} is not {name}, and there are control characters, as compressed and "
            "binary files have: unpack or convert the file first. If it is text, state its encoding with --encoding."
        )
    advice = f"; --encoding {other} can read it: check that its letters are right" if other else ""
    return InvalidInput(
        f"{path.name}, line {line:,}: {problem} is not {name}. State the encoding of the file with --encoding{advice}."
    )


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_START_BYTES)


def _has_nul(path: Path) -> bool:
    return any(b"\0" in chunk for chunk in _chunks(path))


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk, not chunk)
    except UnicodeError:
        return False
    return True


def _first_problem(path: Path, encoding: str) -> tuple[int, str]:
    decoder, lines, after_return = codecs.getincrementaldecoder(encoding)("strict"), 1, False
    for chunk in _chunks(path):
        try:
            text = decoder.decode(chunk, not chunk)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding, "ignore")
            return lines + _line_ends(before, after_return), f"the byte 0x{error.object[error.start]:02X}"
        except UnicodeError:
            # UTF-16 without its byte order mark, which names no position.
            return lines, "the beginning"
        lines += _line_ends(text, after_return)
        after_return = text.endswith("\r") if text else after_return
    return lines, "the end"


def _chunks(path: Path) -> Iterator[bytes]:
    """The file in pieces, and an empty one at the end."""
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            checkpoint()
            yield chunk
    yield b""


def _line_ends(text: str, after_return: bool) -> int:
    """Line ends in a text; a line feed at its start is part of the one before if that text ended with a return."""
    split = after_return and text.startswith("\n")
    return text.count("\n") + text.count("\r") - text.count("\r\n") - split
