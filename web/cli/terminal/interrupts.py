"""Handles Ctrl-C at any moment: one line and exit code 130, never a traceback.

It imports little, since Ctrl-C is not handled before this module is imported.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit code that shells expect of a program ended by Ctrl-C."""

# Starts on a new line, since the terminal has echoed ^C.
MESSAGE = "\ntailrace: interrupted."
_SLOW = "\ntailrace: cancelling; press Ctrl-C again to end at once."

_SLOW_SECONDS = 1
"""After this long a command says that it is cancelling, and Ctrl-C ends it; before, a key that bounces could."""

_WAKING_SECONDS = (0.05, 0.2, 1)
"""The main thread is woken so long after a signal, and again so long after that: see `_waking`."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_first: float | None = None
"""When the first signal came of those that have not been settled."""


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(INTERRUPTED)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """While the block runs, Ctrl-C exits without an exception. For what has nothing to clean up.

    An exception raised during an import can be replaced by another one, or be lost.
    """
    with _handling(_end, (signal.SIGINT,)):
        yield


def _is_first(number: int, frame: FrameType | None) -> bool:
    """Whether this is the first signal; ends the process if it has taken too long to follow it.

    From the first one on, a timer waits to say that the command is cancelling. A thread could not do that: the signal
    may have come while its lock was held.
    """
    global _first
    now = time.monotonic()
    if _first is None:
        _first = now
        signal.signal(signal.SIGALRM, _say_cancelling)
        signal.setitimer(signal.ITIMER_REAL, _SLOW_SECONDS)
        return True
    if now - _first >= _SLOW_SECONDS:
        _end(number, frame)
    return False


def _say_cancelling(_number: int, _frame: FrameType | None) -> None:
    os.write(2, _SLOW.encode())


def interrupted() -> bool:
    """Whether a signal came that has not been settled."""
    return _first is not None


def settle() -> None:
    """What was interrupted has ended: the next signal is a first one again."""
    global _first
    if _first is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _first = None


def interrupt(number: int, frame: FrameType | None) -> None:
    """The handler of signals for commands that clean up: the first one raises KeyboardInterrupt."""
    if _is_first(number, frame):
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """While the block runs, Ctrl-C is handled by `interrupt`, also if the main thread waits in a system call."""
    with _waking(), _handling(interrupt, (signal.SIGINT,)):
        yield


@contextmanager
def _waking() -> Iterator[None]:
    """While the block runs, wake the main thread after each signal.

    Python calls a handler before its next instruction. A signal that comes after the last instruction before a system
    call does not interrupt that call, so the handler would wait with it, maybe for ever: for a reader of a pipe.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    ended = threading.Event()

    def wake() -> None:
        while numbers := os.read(reading, 512):
            for seconds in _WAKING_SECONDS if set(numbers) & set(_SIGNALS) else ():
                if not ended.wait(seconds):
                    signal.pthread_kill(main, signal.SIGURG)

    main = threading.get_ident()
    before = signal.signal(signal.SIGURG, lambda _number, _frame: None)
    watcher = threading.Thread(target=wake, name="interrupts", daemon=True)
    watcher.start()
    signal.set_wakeup_fd(writing)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        ended.set()
        os.close(writing)
        watcher.join()
        os.close(reading)
        signal.signal(signal.SIGURG, before)


@contextmanager
def cancelling(cancel: Callable[[], object]) -> Iterator[None]:
    """While the block runs, the first of SIGINT, SIGTERM and SIGHUP calls ``cancel``."""

    def handle(number: int, frame: FrameType | None) -> None:
        if _is_first(number, frame):
            cancel()

    with _handling(handle, _SIGNALS):
        yield


class Interrupts:
    """Whether Ctrl-C was pressed. It raises by itself only within `raising`, for a call that could block for ever.

    Raised anywhere else, it may come in the middle of what Python does by itself, which ignores it.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._raising = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed:
            raise KeyboardInterrupt

    @contextmanager
    def raising(self) -> Iterator[None]:
        """While the block runs, the first Ctrl-C raises KeyboardInterrupt; so does one that came before."""
        self._raising = True
        try:
            self.check()
            yield
        finally:
            self._raising = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal."""
        if _is_first(number, frame):
            self._pressed = True
            if self._raising:
                raise KeyboardInterrupt


@contextmanager
def watching_interrupts() -> Iterator[Interrupts]:
    """While the block runs, Ctrl-C is noticed, by what this yields. Afterwards it raises, if the block has not."""
    interrupts = Interrupts()
    try:
        with _handling(interrupts.handle, (signal.SIGINT,)):
            yield interrupts
    finally:
        settle()
    interrupts.check()


def ignore_from_now_on() -> None:
    """Ignore Ctrl-C, once the command has done its work and only has to exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None], numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Handle these signals in the block, except those that the parent process set to be ignored (nohup, ``&``)."""
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
            # The block may have called `ignore_from_now_on`.
            if signal.getsignal(number) is handler:
                signal.signal(number, before[number])
