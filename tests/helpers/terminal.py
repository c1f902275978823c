"""A process at a real pseudo-terminal, and what a person types there."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.helpers.forks import TAILRACE, start

_AT_A_TERMINAL = "import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
CTRL_C, CTRL_D, TAB, UP, ENTER = "\x03", "\x04", "\t", "\x1b[A", "\r"
# A bound of what hangs, not of what is slow: other work may take the machine's cores meanwhile.
_SECONDS = 90


class Terminal:
    """``tailrace`` with a terminal of its own, which controls it: Ctrl-C is a signal while nothing reads keys."""

    def __init__(
        self, environment: Mapping[str, str], folder: Path, *arguments: str, term: str = "xterm",
        size: tuple[int, int] = (50, 100), program: str = TAILRACE,
    ) -> None:  # fmt: skip
        self.descriptor, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        settings = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        # Nobody answers the question where the cursor is.
        settings |= {"HOME": str(folder), "TERM": term, "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = start(
            arguments, settings, folder, program=_AT_A_TERMINAL + program, stdin=inner, stdout=inner, stderr=inner
        )
        os.close(inner)
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.descriptor)

    def type(self, text: str) -> None:
        """Type keys."""
        os.write(self.descriptor, text.encode())

    def read_until(self, wanted: str) -> str:
        """What is shown up to ``wanted``. Raises TimeoutError, and EOFError once the process has ended."""
        deadline = time.monotonic() + _SECONDS
        while wanted.encode() not in self._unread:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {wanted!r} in {self._unread.decode(errors='replace')!r}")
            if select.select([self.descriptor], [], [], 0.2)[0]:
                try:
                    self._unread += os.read(self.descriptor, 65536)
                except OSError:
                    raise EOFError(f"no {wanted!r} in {self._unread.decode(errors='replace')!r}") from None
        end = self._unread.index(wanted.encode()) + len(wanted.encode())
        shown, self._unread = self._unread[:end], self._unread[end:]
        return shown.decode(errors="replace")

    def wait(self) -> int:
        """The exit code, once the process has ended; what it still shows is read, since it waits for that."""
        deadline = time.monotonic() + _SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    self._unread += os.read(self.descriptor, 65536)
                except OSError:
                    break
        return self.process.wait(max(1, deadline - time.monotonic()))
