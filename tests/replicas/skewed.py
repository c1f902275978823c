"""The real service on a machine whose clock is wrong, by libfaketime (Debian's package of that name)."""

import select
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import IO, SupportsIndex

from tests.helpers import altered

_PATTERNS = ("*/faketime/libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1")


def faketime_library() -> Path | None:
    """The library, or None where it is not installed."""
    found = (
        path for folder in ("/usr/lib", "/usr/local/lib") for each in _PATTERNS for path in Path(folder).glob(each)
    )
    return next(found, None)


class SkewedServer(altered.AlteredServer):
    """A service, and its commands, as new processes whose clock is ``skew`` ahead of that of this machine."""

    program = "from tests.replicas.skewed import main; main()"

    def __init__(self, store_url: tuple[str, dict[str, str]], folder: Path, skew: timedelta, **settings: str) -> None:
        super().__init__(store_url, folder, **settings)
        self.environment |= {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME": f"{skew.total_seconds():+.0f}",
            # The dates of files are those of the file system, and waiting is not by the clock.
            "NO_FAKE_STAT": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def launch(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a process of its own: the library is loaded with the interpreter."""
        return subprocess.Popen(
            [sys.executable, "-c", self.program, "serve"], env=self.environment, cwd=self.folder, stderr=log
        )

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a ``tailrace`` command with the same clock."""
        self.initialise()
        return subprocess.run(
            [sys.executable, "-c", self.program, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )


def main() -> None:
    """Run the command line under libfaketime 0.9.10, whose clock_nanosleep fails unless it moves waiting, too."""
    time.sleep = _sleep
    altered.main()


def _sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))
