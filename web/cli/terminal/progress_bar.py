"""How far an export or a publication is: one line that is drawn anew on a terminal, and lines in a pipe if wanted."""

import os
import time
from typing import TextIO

_CELLS = 20
_DRAW_SECONDS = 0.1
_LINE_SECONDS = 5.0
_FALLBACK_COLUMNS = 80
_UNITS = ("B", "kB", "MB", "GB", "TB")


class ProgressBar:
    """Draws on a terminal; elsewhere it is silent, or with ``lines`` writes one at each phase and every few seconds."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, lines: bool = False) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._shown = not quiet and (self._terminal or lines)
        self._seconds = _DRAW_SECONDS if self._terminal else _LINE_SECONDS
        self._width = 0
        self._phase = ""
        self._since = self._drawn = 0.0

    def show(
        self, phase: str, rows: int | None, size: int, *, share: float | None = None, total: int | None = None
    ) -> None:
        """Phase, rows, bytes and rate; ``share`` or ``total`` bytes say how much of the whole that is, if known."""
        now = time.monotonic()
        if not self._shown or (phase == self._phase and now - self._drawn < self._seconds):
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


def line(phase: str, rows: int | None, size: int, seconds: float, share: float | None, total: int | None = None) -> str:
    """What is drawn."""
    pieces = [phase]
    if total:
        share = size / total
    if share is not None:
        filled = round(min(share, 1) * _CELLS)
        pieces += [f"[{'#' * filled}{'-' * (_CELLS - filled)}]", f"{min(share, 1):.0%}"]
    if rows is not None:
        pieces.append(counted(rows, "row"))
    pieces.append(human_bytes(size) + ("" if total is None else f" of {human_bytes(total)}"))
    if seconds >= 1:
        pieces += [f"{human_bytes(size / seconds)}/s", f"{seconds:.0f} s"]
    return "  ".join(pieces)


def counted(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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
