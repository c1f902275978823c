"""A control group with a limit of memory, of version 1 or 2, for processes that are started in it."""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path("/sys/fs/cgroup")
MISSING = "no control group can be made here: it needs root, and a writable /sys/fs/cgroup with the memory controller"


class Cgroup:
    """A group for the ``with`` block. Raises OSError if there can be none.

    ``limit_bytes`` bounds what its processes have in memory; they have no swap.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit = limit_bytes
        self._unified = (_ROOT / "cgroup.controllers").exists()
        base = _ROOT if self._unified else _ROOT / "memory"
        self._folder = base / f"tailrace-test-{os.getpid()}-{secrets.token_hex(4)}"

    def __enter__(self) -> Self:
        if not (self._folder.parent / "cgroup.procs").exists():
            raise FileNotFoundError(MISSING)
        self._folder.mkdir()
        try:
            if self._limit is not None:
                self._bound(self._limit)
        except OSError:
            self._folder.rmdir()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + 20
        while self._folder.exists():
            # Its processes end a moment after they were killed.
            with suppress(OSError):
                self._folder.rmdir()
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes are left in {self._folder.name}")
            time.sleep(0.05)

    @property
    def joining(self) -> str:
        """A program that makes its process, which must have one thread, a member."""
        return f"open({str(self._folder / 'cgroup.procs')!r}, 'w').write(str(__import__('os').getpid()))"

    @property
    def anonymous_bytes(self) -> int:
        """What its processes have in memory now, without the cache of files."""
        name = "anon" if self._unified else "total_rss"
        stat = dict(line.split() for line in (self._folder / "memory.stat").read_text().splitlines())
        return int(stat[name])

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed at the limit."""
        events = self._folder / ("memory.events" if self._unified else "memory.oom_control")
        return int(dict(line.split() for line in events.read_text().splitlines()).get("oom_kill", 0))

    def _bound(self, limit: int) -> None:
        if self._unified:
            (self._folder / "memory.max").write_text(str(limit))
            with suppress(OSError):
                (self._folder / "memory.swap.max").write_text("0")
        else:
            (self._folder / "memory.limit_in_bytes").write_text(str(limit))
            with suppress(OSError):
                (self._folder / "memory.swappiness").write_text("0")
