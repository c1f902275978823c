"""The real service with small blocks, which a test can halt at a point, and whose clock it can move.

The test controls the process by files in a folder: ``halt`` names the point, ``halted`` appears once a thread has
reached it, and threads resume when ``halt`` is removed; ``clock`` has the seconds by which the clock is ahead, or
``stopped`` and a time; ``store clock`` has the seconds by which the clocks of the stores are ahead.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from pathlib import Path
from typing import Any

from engine.catalog.catalog import ResultStore
from engine.stores import block_stream, clock
from engine.stores.azure.store import AzureStore
from engine.stores.azure.upload import AzureUpload
from engine.stores.block_stream import BlockStream
from engine.stores.local.store import DirectoryStore
from engine.stores.local.upload import DirectoryUpload
from tests.helpers.server import Server
from web.jobs.replicas import Announcement

BEGUN, READ, STAGED, UNCOMMITTED, COMMITTED = "begun", "read", "staged", "uncommitted", "committed"
"""Points: before the first byte, at the first bytes, after a block was staged, before and after the commit."""

_POINTS: tuple[tuple[type, str, str, bool], ...] = (
    (ResultStore, "check_parts", BEGUN, False),
    (BlockStream, "append", READ, False),
    (DirectoryUpload, "stage", STAGED, True),
    (AzureUpload, "stage", STAGED, True),
    (BlockStream, "commit", UNCOMMITTED, False),
    (BlockStream, "commit", COMMITTED, True),
)
BLOCK_BYTES = 256 * 1024
_FOLDER = "ALTERED_FOLDER"
_CLOCK, _STORE_CLOCK = "clock", "store clock"
_STOPPED = "stopped "
_WAIT_SECONDS = 30


class AlteredServer(Server):
    """A service that can be halted and whose clock can be moved."""

    program = "from tests.helpers.altered import main; main()"

    def __init__(self, store_url: tuple[str, dict[str, str]], folder: Path, **settings: str) -> None:
        super().__init__(store_url, folder, **settings)
        self.environment[_FOLDER] = str(folder)

    def halt_at(self, point: str) -> None:
        """Halt the next export at that point."""
        (self.folder / "halted").unlink(missing_ok=True)
        (self.folder / "halt").write_text(point)

    def wait_until_halted(self) -> None:
        """Wait until an export is halted."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not (self.folder / "halted").exists():
            if time.monotonic() > deadline:
                raise TimeoutError("no export reached the point")
            time.sleep(0.01)

    def go_on(self) -> None:
        """Resume the halted export, and halt no other."""
        (self.folder / "halt").unlink(missing_ok=True)

    def move_clock(self, by: timedelta) -> None:
        """Set the clock ahead, or back by a negative time; those of the stores stay."""
        self._write_clock(str(by.total_seconds()))

    def move_time(self, by: timedelta) -> None:
        """Set the clock and those of the stores ahead, as if that time had passed."""
        self._write_clock(str(by.total_seconds()), _STORE_CLOCK)
        self.move_clock(by)

    def stop_clock(self, at: datetime) -> None:
        """Stop the clock at that time."""
        self._write_clock(f"{_STOPPED}{at.isoformat()}")

    def _write_clock(self, text: str, name: str = _CLOCK) -> None:
        new = self.folder / "clock.new"
        new.write_text(text)
        new.replace(self.folder / name)


class _AnyDatetime(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class _Moved(datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """The time of the altered clock."""
        text = _read_clock(_CLOCK)
        if text.startswith(_STOPPED):
            return datetime.fromisoformat(text.removeprefix(_STOPPED)).astimezone(tz)
        return datetime.now(tz) + timedelta(seconds=float(text))


def _read_clock(name: str) -> str:
    try:
        return (Path(os.environ[_FOLDER]) / name).read_text()
    except FileNotFoundError:
        return "0"


def _moved_with_store(check: Callable[[Any], datetime]) -> Callable[[Any], datetime]:
    @wraps(check)
    def moved(store: Any) -> datetime:
        return check(store) + timedelta(seconds=float(_read_clock(_STORE_CLOCK)))

    return moved


def _halting(method: Callable[..., Any], point: str, *, after: bool) -> Callable[..., Any]:
    @wraps(method)
    def halting(*args: Any, **options: Any) -> Any:
        if not after:
            _halt(point)
        result = method(*args, **options)
        if after:
            _halt(point)
        return result

    return halting


def _halt(point: str) -> None:
    folder = Path(os.environ[_FOLDER])
    wanted = folder / "halt"
    try:
        if wanted.read_text() != point:
            return
    except FileNotFoundError:
        return
    (folder / "halted").touch()
    while wanted.exists():
        time.sleep(0.01)


def main() -> None:
    """Run the command line with these alterations."""
    block_stream.BLOCK_TIERS = ((50_000, BLOCK_BYTES),) * 4
    from web.cli import main as command

    for kind, name, point, after in _POINTS:
        setattr(kind, name, _halting(getattr(kind, name), point, after=after))
    stores: tuple[Any, ...] = (DirectoryStore, AzureStore)
    for store in stores:
        store.check = _moved_with_store(store.check)
    # Tests look at every file that is being written, and at what is left when time has passed.
    Announcement.running = nullcontext  # type: ignore[method-assign,assignment]  # replaced on purpose
    # Otherwise the time of a store would move a minute later.
    clock._REMEASURE_SECONDS = 0
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(("engine.", "web.")) and getattr(module, "datetime", None) is datetime:
            module.datetime = _Moved  # type: ignore[attr-defined]
    command()
