"""The real service on a machine whose clock is wrong, by libfaketime (Debian's package of that name)."""

import select
import time
from datetime import timedelta
from pathlib import Path
from typing import SupportsIndex

from tests.helpers import altered
from tests.helpers.forks import Forking

_PATTERNS = ("*/faketime/libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1")


def faketime_library() -> Path | None:
    """The library, or None where it is not installed."""
    found = (
        path for folder in ("/usr/lib", "/usr/local/lib") for each in _PATTERNS for path in Path(folder).glob(each)
    )
    return next(found, None)


_FAKED = {
    "LD_PRELOAD": str(faketime_library()),
    # The dates of files are those of the file system, and waiting is not by the clock.
    "NO_FAKE_STAT": "1",
    "DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


class SkewedServer(altered.AlteredServer):
    """A service, and its commands, whose clock is ``skew`` ahead of that of this machine."""

    program = "from tests.replicas.skewed import main; main()"
    # The library is loaded with the interpreter; each fork of that reads its own FAKETIME.
    forking = Forking({**_FAKED, "FAKETIME_NO_CACHE": "1"})

    def __init__(self, store_url: tuple[str, dict[str, str]], folder: Path, skew: timedelta, **settings: str) -> None:
        super().__init__(store_url, folder, **settings)
        self.environment |= {**_FAKED, "FAKETIME": f"{skew.total_seconds():+.0f}"}


def main() -> None:
    """Run the command line under libfaketime 0.9.10, whose clock_nanosleep fails unless it moves waiting, too."""
    time.sleep = _sleep
    altered.main()


def _sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))
