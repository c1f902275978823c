"""One line on a terminal that says how far an export is."""

import os
import time
from typing import TextIO

_CELLS = 20
_DRAW_SECONDS = 0.1
_FALLBACK_COLUMNS = 80
_UNITS = ("B", "kB", "MB", "GB", "TB")


class ProgressBar:
    """Draws on a terminal; on anything else, and if told so, it is quiet."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._shown = not quiet and stream.isatty()
        self._width = 0
        self._phase = ""
        self._since = self._drawn = 0.0

    def show(self, phase: str, rows: int, size: int, *, share: float | None = None) -> None:
        """Phase, rows, bytes and rate; ``share`` is how much of the whole that is, if the whole is known."""
        now = time.monotonic()
        if not self._shown or (phase == self._phase and now - self._drawn < _DRAW_SECONDS):
            return
        if phase != self._phase:
            self._phase, self._since = phase, now
        self._drawn = now
        self._write(line(phase, rows, size, now - self._since, share))

    def clear(self) -> None:
        """Leave an empty line to whoever writes next."""
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()
            self._width = 0

    def _write(self, text: str) -> None:
        # Shorter than the terminal is wide, or every drawing would begin a line of its own.
        text = text[: _columns(self._stream) - 1]
        # Blanks, since not every terminal knows how to erase.
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)


def line(phase: str, rows: int, size: int, seconds: float, share: float | None) -> str:
    """What is drawn."""
    pieces = [phase]
    if share is not None:
        filled = round(min(share, 1) * _CELLS)
        pieces += [f"[{'#' * filled}{'-' * (_CELLS - filled)}]", f"{min(share, 1):.0%}"]
    pieces += [f"{rows:,} rows", human_bytes(size)]
    if seconds >= 1:
        pieces += [f"{human_bytes(size / seconds)}/s", f"{seconds:.0f} s"]
    return "  ".join(pieces)


def human_bytes(size: float) -> str:
    """Bytes in the largest decimal unit that leaves a number above one."""
    if size < 1000:
        return f"{size:.0f} B"
    power = next((power for power in (1, 2, 3) if size < 1000 ** (power + 1)), 4)
    return f"{size / 1000**power:,.1f} {_UNITS[power]}"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _FALLBACK_COLUMNS
    except OSError:
        return _FALLBACK_COLUMNS
