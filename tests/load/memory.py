"""The memory of a service and of the processes that it starts, as the kernel counts it."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_EVERY_SECONDS = 0.05


def peak_mb(pid: int) -> float:
    """The most that a process ever had in memory, itself alone."""
    return _status_mb(pid, "VmHWM")


class StatementsWatch:
    """Looks at what forks statements for a service, and at its forks, while the ``with`` lasts.

    Pages that they share count for each.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most_mb = 0.0
        """The most that all of them had at a time."""
        self.most_at_once = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            forking = _children(self._pid)
            forks = [fork for child in forking for fork in _children(child)]
            self.most_at_once = max(self.most_at_once, len(forks))
            self.most_mb = max(self.most_mb, sum(_status_mb(one, "VmRSS") for one in (*forking, *forks)))


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return []
    return [int(child) for task in tasks for child in _text(task / "children").split()]


def _status_mb(pid: int, name: str) -> float:
    _, _, found = _text(Path(f"/proc/{pid}/status")).partition(f"{name}:")
    # A process that has just ended has no memory.
    return int(found.split()[0]) * 1024 / 1e6 if found else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
