"""Progress of an export or a publish: one line that is redrawn on a terminal, or optional lines in a pipe."""

import os
import time
from typing import TextIO

_BAR_WIDTH = 20
_DRAW_INTERVAL_SECONDS = 0.1
_LINE_INTERVAL_SECONDS = 5.0
_FALLBACK_COLUMNS = 80
_UNITS = ("B", "kB", "MB", "GB", "TB")


class ProgressBar:
    """Draws on a terminal. Elsewhere it is silent, or with ``lines`` prints a line per phase and every few seconds."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, lines: bool = False) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._shown = not quiet and (self._terminal or lines)
        self._interval_seconds = _DRAW_INTERVAL_SECONDS if self._terminal else _LINE_INTERVAL_SECONDS
        self._width = 0
        self._phase = ""
        self._since = self._drawn = 0.0

    def show(
        self, phase: str, rows: int | None, size: int, *, share: float | None = None, total: int | None = None
    ) -> None:
        """Show phase, rows, bytes and rate; ``share`` (0 to 1) or ``total`` (bytes) gives the progress, if known."""
        now = time.monotonic()
        if not self._shown or (phase == self._phase and now - self._drawn < self._interval_seconds):
            return
        if phase != self._phase:
            self._phase, self._since = phase, now
        self._drawn = now
        text = line(phase, rows, size, now - self._since, share, total)
        if self._terminal:
            self._write(text)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def clear(self) -> None:
        """Erase the line, so that other output can follow."""
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()
            self._width = 0

    def _write(self, text: str) -> None:
        # A line as wide as the terminal would wrap, and each drawing would start a new line.
        text = text[: _columns(self._stream) - 1]
        # Overwritten with blanks, since not every terminal supports erasing.
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)


def line(phase: str, rows: int | None, size: int, seconds: float, share: float | None, total: int | None = None) -> str:
    """The text of the progress line."""
    parts = [phase]
    if total:
        share = size / total
    if share is not None:
        filled = round(min(share, 1) * _BAR_WIDTH)
        parts += [f"[{'#' * filled}{'-' * (_BAR_WIDTH - filled)}]", f"{min(share, 1):.0%}"]
    if rows is not None:
        parts.append(counted(rows, "row"))
    parts.append(human_bytes(size) + ("" if total is None else f" of {human_bytes(total)}"))
    if seconds >= 1:
        parts += [f"{human_bytes(size / seconds)}/s", f"{seconds:.0f} s"]
    return "  ".join(parts)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def human_bytes(size: float) -> str:
    """Return a size in the largest decimal unit in which it is at least 1."""
    if size < 1000:
        return f"{size:.0f} B"
    power = next((power for power in (1, 2, 3) if size < 1000 ** (power + 1)), 4)
    return f"{size / 1000**power:,.1f} {_UNITS[power]}"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _FALLBACK_COLUMNS
    except OSError:
        return _FALLBACK_COLUMNS
