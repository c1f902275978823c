"""The text of a JSON file, read piece by piece: one value is in memory at a time, whatever the size of the file."""

import codecs
import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.common.cancellation import checkpoint
from engine.errors import InvalidInput, quoted_excerpt
from engine.publishing.csv.encoding import unmarked_encoding
from engine.publishing.json.shapes import TOO_DEEP

MAX_VALUE_CHARACTERS = 64 * 1024 * 1024
"""The longest row, and the longest value beside the rows."""
_PIECE_BYTES = 1024 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")
_HINTS = {
    "'": "text and names are in double quotes",
    "#": "there are no comments in JSON: remove them",
    "/": "there are no comments in JSON: remove them",
    "\x1e": r"the file is a text sequence (RFC 7464): remove its record separators, with tr -d '\036' for example",
}
"""What to say of characters that other notations have, and JSON has not."""
_PLAIN = JSONDecoder(parse_float=str, parse_int=str)
"""For values whose content is not looked at."""


class JsonText:
    """A cursor over the values of a file. Every error is an InvalidInput that names the file and the line."""

    def __init__(self, path: Path, name: str, encoding: str | None = None) -> None:
        self.name = name
        self._encoding = encoding or "utf-8"
        self._decoder = codecs.getincrementaldecoder(self._encoding)("strict")
        self._buffer = ""
        self._at = 0
        self._lines_before = 0
        self._characters_before = 0
        """Of the line that the buffer begins in."""
        self._ended = False
        self.starts_with_mark = False
        """Whether the file begins with a byte order mark."""
        self.line_break = False
        """Whether a line ended since the last value."""
        self._path = path
        self._file = path.open("rb")

    def __enter__(self) -> Self:
        try:
            self._fill()
            if "\0" in self._buffer[:4]:
                wide = unmarked_encoding(self._path)
                advice = f"; --encoding {wide} can read it" if wide else ""
                raise self.malformed(f"not JSON: there are NUL characters{advice}")
        except BaseException:
            self._file.close()
            raise
        if self._buffer.startswith("\ufeff"):
            self.starts_with_mark = True
            self._at = 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def line(self) -> int:
        """The number of the line that the cursor is on, from 1."""
        return self._lines_before + self._buffer.count("\n", 0, self._at) + 1

    def peek(self) -> str:
        """The next character that is not white space, or an empty text at the end of the file."""
        self.skip_space()
        return self._buffer[self._at : self._at + 1]

    def skip_space(self) -> None:
        """Move to the next character that is not white space."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            end = self._at if found is None else found.end()
            self.line_break = self.line_break or self._buffer.find("\n", self._at, end) != -1
            self._at = end
            if end < len(self._buffer) or not self._fill():
                return

    def take(self, character: str, where: str) -> None:
        """Move past this character; raise InvalidInput if there is another."""
        if self.peek() != character:
            raise self.malformed(f"{where} has {self._next()} where {character!r} should be")
        self._at += 1

    def value(self, decoder: JSONDecoder = _PLAIN) -> tuple[Any, str]:
        """Decode the next value; returns it with its text. Raises InvalidInput, or what the decoder's hooks raise."""
        self.skip_space()
        while True:
            try:
                value, end = decoder.raw_decode(self._buffer, self._at)
            except JSONDecodeError as error:
                if not self._may_be_cut(error):
                    raise self._not_json(error) from None
                self._fill()
            except RecursionError:
                raise self.malformed(TOO_DEEP) from None
            else:
                # A number at the end of the buffer may go on behind it.
                if end < len(self._buffer) or self._ended:
                    text = self._buffer[self._at : end]
                    self._at = end
                    self.line_break = False
                    return value, text
                self._fill()

    def values(self) -> Iterator[str]:
        """The text of each row, of a list or one after the other."""
        if self.peek() == "[":
            for _ in self.items("the list of rows"):
                yield self.value()[1]
        else:
            while self.peek():
                yield self.value()[1]

    def copy_rest(self, target: Path) -> None:
        """Write what follows into a file, as UTF-8. Raises InvalidInput when the disk is full."""
        try:
            with target.open("w", encoding="utf-8", newline="") as file:
                while True:
                    file.write(self._buffer[self._at :])
                    self._at = len(self._buffer)
                    if not self._fill():
                        return
        except OSError as error:
            raise InvalidInput(f"{self.name} cannot be copied to the spill folder: {error.strerror}.") from error

    def items(self, where: str) -> Iterator[None]:
        """Stop before each item of the list that comes next; the caller takes it."""
        self.take("[", where)
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield
            if self.peek() == "]":
                self._at += 1
                return
            self.take(",", where)

    def members(self, where: str) -> Iterator[str]:
        """Stop before the value of each member of the object that comes next; the caller takes it."""
        self.take("{", where)
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self.malformed(f"{where} has {self._next()} where the name of a member should be")
            name, _ = self.value()
            self.take(":", where)
            self.skip_space()
            yield name
            if self.peek() == "}":
                self._at += 1
                return
            self.take(",", where)

    def skip(self, where: str, levels: int = 4) -> None:
        """Move past the next value; lists and objects of so many levels are not held in memory."""
        match self.peek() if levels else "":
            case "[":
                for _ in self.items(where):
                    self.skip(where, levels - 1)
            case "{":
                for _ in self.members(where):
                    self.skip(where, levels - 1)
            case _:
                self.value()

    def malformed(self, what: str) -> InvalidInput:
        """The error that says what is wrong at the cursor."""
        return InvalidInput(f"{self.name}, line {self.line:,}: {what}.")

    def _next(self) -> str:
        character = self._buffer[self._at : self._at + 1]
        hint = f" ({_HINTS[character]})" if character in _HINTS else ""
        return f"{quoted_excerpt(character)}{hint}" if character else "the end of the file"

    def _may_be_cut(self, error: JSONDecodeError) -> bool:
        """Whether the value is not JSON because the buffer ends within it."""
        if self._ended:
            return False
        if len(self._buffer) - self._at > MAX_VALUE_CHARACTERS:
            raise self.malformed(f"a value is longer than {MAX_VALUE_CHARACTERS // 1024**2} MB")
        # An error well before the end of the buffer is one. Text that is not closed is reported where it begins.
        return error.msg.startswith("Unterminated string") or error.pos > len(self._buffer) - 16

    def _not_json(self, error: JSONDecodeError) -> InvalidInput:
        line = self._lines_before + error.lineno
        at_end = error.pos >= len(self._buffer.rstrip())
        character = error.colno + (self._characters_before if error.lineno == 1 else 0)
        reason = error.msg.removesuffix(" at")
        hint = _HINTS.get(self._buffer[error.pos : error.pos + 1])
        # The buffer may begin behind the comma.
        after_comma = self._buffer[: error.pos].rstrip()[-1:] in (",", "")
        if after_comma and self._buffer[error.pos : error.pos + 1] in ("]", "}"):
            hint = "the comma before it is one too many"
        reason = f"{reason} ({hint})" if hint else reason
        what = "the file ends within a value" if at_end else f"not JSON at character {character:,}: {reason}"
        return InvalidInput(f"{self.name}, line {line:,}: {what}.")

    def _fill(self) -> bool:
        """Read on, twice as much for each time that a value did not fit; whether there was more."""
        if self._ended:
            return False
        self._lines_before += self._buffer.count("\n", 0, self._at)
        line_start = self._buffer.rfind("\n", 0, self._at) + 1
        self._characters_before = self._at - line_start + (0 if line_start else self._characters_before)
        rest = self._buffer[self._at :]
        checkpoint()
        data = self._file.read(max(_PIECE_BYTES, len(rest)))
        try:
            more = self._decoder.decode(data, final=not data)
        except UnicodeError as error:
            # UTF-16 without its mark has no position.
            before = data[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            line = self._lines_before + rest.count("\n") + before.count(b"\n") + 1
            raise InvalidInput(
                f"{self.name}, line {line:,}: not {self._encoding.upper()} text; name its encoding with --encoding."
            ) from None
        self._ended = not data
        self._buffer, self._at = rest + more, 0
        return not self._ended
