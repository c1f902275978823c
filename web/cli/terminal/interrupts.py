"""Ctrl-C at any moment: one line and status 130, never a traceback.

It imports little, since nothing is handled before it is imported.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""

# The terminal has written ^C where the cursor was.
MESSAGE = "\ntailrace: interrupted."

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(INTERRUPTED)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Ctrl-C ends the process within, without an exception: for imports, which have nothing to undo.

    An exception in the middle of an import can come out as another one, or be lost.
    """
    with _handling(_end, (signal.SIGINT,)):
        yield


@contextmanager
def cancelling(cancel: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP call ``cancel`` within, without an exception; a second one ends the process."""
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            _end(number, frame)
        asked.append(number)
        cancel()

    with _handling(handle, _SIGNALS):
        yield


def ignore_from_now_on() -> None:
    """What was asked for is done: a Ctrl-C that comes before the process has ended changes nothing of that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None], numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    """With these handlers within, except for signals that whoever started the process wants ignored (nohup, ``&``)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number, found in before.items() if found not in (signal.SIG_IGN, None)]
    for number in handled:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in handled:
            # Within, it may have been decided that nothing interrupts from now on.
            if signal.getsignal(number) is handler:
                signal.signal(number, before[number])
