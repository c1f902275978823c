"""A replica that can have a wrong clock and a limit of open files, for which it has an interpreter of its own."""

import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from tests.helpers.altered import AlteredServer
from tests.helpers.forks import Forked
from tests.helpers.server import Answer, Server

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
MISSING = "no libfaketime: install Debian's package libfaketime"

_WORKING_SLEEP = "import select, time; time.sleep = lambda seconds: select.select((), (), (), seconds)"
"""libfaketime 0.9.10 converts the end of a sleep by the monotonic clock as if it faked that one, too: an EINVAL."""


def _limit_descriptors(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


class Replica(AlteredServer):
    """A service whose clock is ``skew`` seconds ahead (behind if negative) of that of the store and of this machine.

    With ``descriptors``, its process and those that it starts may have so many files open.
    """

    def __init__(
        self, store_url: tuple[str, dict[str, str]], folder: Path, *, skew: int = 0, descriptors: int | None = None,
        **settings: str,
    ) -> None:  # fmt: skip
        folder.mkdir(exist_ok=True)
        super().__init__(store_url, folder, **{"TAILRACE_BASE_URL": PUBLIC, **settings})
        self._before: Callable[[], None] | None = None
        self._own_interpreter = bool(skew or descriptors)
        if descriptors is not None:
            self._before = partial(_limit_descriptors, descriptors)
        if skew:
            self.environment |= {
                "LD_PRELOAD": str(LIBRARY),
                "FAKETIME": f"{skew:+d}s",
                # The dates of files are those of the file system, and waiting takes as long as it does.
                "NO_FAKE_STAT": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }

    def launch(self, log: IO[bytes]) -> "Forked | subprocess.Popen[bytes]":
        """Start the process."""
        if not self._own_interpreter:
            return super().launch(log)
        return subprocess.Popen(
            self._command("serve"), env=self.environment, cwd=self.folder, stderr=log, preexec_fn=self._before
        )

    def by_its_clock(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a ``tailrace`` command with the replica's settings and clock."""
        return subprocess.run(
            self._command(*arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", f"{_WORKING_SLEEP}\n{self.program}", *arguments]


PUBLIC = "http://exports.example.com"
"""What the links of all replicas begin with."""


def opened(server: Server, url: str, **headers: str) -> Answer:
    """The answer of one replica to a link, whichever replica signed it."""
    assert url.startswith(PUBLIC), url
    return server.request(url.replace(PUBLIC, server.base), headers=headers)
