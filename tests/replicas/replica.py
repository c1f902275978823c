"""Replicas with one public address, and one that may have few files open."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import IO

from tests.helpers.altered import AlteredServer
from tests.helpers.server import Answer, Server

PUBLIC = "http://exports.example.com"
"""What the links of all replicas begin with."""


class Replica(AlteredServer):
    """A service at the public address. Its folder is made if it does not exist."""

    def __init__(self, store_url: tuple[str, dict[str, str]], folder: Path, **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(store_url, folder, **{"TAILRACE_BASE_URL": PUBLIC, **settings})


class LimitedReplica(Replica):
    """A replica that may have 256 files open; it has an interpreter of its own."""

    descriptors = 256

    def launch(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start the process."""
        command = [sys.executable, "-c", self.program, "serve"]
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stderr=log, preexec_fn=self._limit)

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))


def opened(server: Server, url: str, **headers: str) -> Answer:
    """The answer of one replica to a link, whichever replica signed it."""
    assert url.startswith(PUBLIC), url
    return server.request(url.replace(PUBLIC, server.base), headers=headers)
