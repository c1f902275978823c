"""Where the answers of several statements go: each begins on a new line."""

from engine.common.chunk import Chunk
from web.cli.shell.handover import Write


class Answers:
    """Passes on bytes, and knows whether a line is begun."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._in_line = False

    def write(self, chunk: Chunk) -> None:
        """Write bytes."""
        if chunk:
            self._write(chunk)
            self._in_line = bytes(chunk[-1:]) != b"\n"

    def end_line(self) -> None:
        """Begin a new line, unless nothing is in this one: JSON has no line end after its last bracket."""
        if self._in_line:
            self.write(b"\n")
