"""A real Ray cluster on loopback: a head and nodes, each with its own raylet and processes, ended by their groups."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from tests.helpers.azurite import free_port

HEAD = "127.0.0.2"
_START_SECONDS = 60
_STORE_BYTES = 1_500_000_000


def available() -> str | None:
    """None if a cluster can be started, else the reason to skip."""
    return None if find_spec("ray") else "Ray is not installed: make test-cluster has it"


class RayCluster:
    """A head on 127.0.0.2 and nodes on the addresses after it, one CPU each, with token authentication.

    ``environment`` is what the nodes have, which is where tasks find credentials.
    """

    def __init__(self, nodes: int = 2, environment: Mapping[str, str] | None = None) -> None:
        # Ray puts sockets below it, whose paths are short.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.address = f"{HEAD}:{free_port()}"
        # Also what a driver needs to come in.
        self.access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        root = str(Path(__file__).parents[2])
        self._environment = {**os.environ, "PYTHONPATH": root, **self.access, **(environment or {})}
        self._starts: list[subprocess.Popen[bytes]] = []
        try:
            self._start(HEAD, "--head", f"--port={self.address.split(':')[1]}", "--include-dashboard=false")
            self._wait_for_head()
            for _ in range(nodes - 1):
                self.add_node()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def logs(self) -> Path:
        """Where all processes of the cluster write."""
        return self.folder

    def add_node(self) -> int:
        """Start one more node; returns its number, the head being 0."""
        self._start(f"127.0.0.{2 + len(self._starts)}", f"--address={self.address}")
        return len(self._starts) - 1

    def pids(self, node: int, name: str) -> list[int]:
        """Processes of a node whose name begins so; workers that run a task begin with ``ray::`` and its name."""
        raylets = _pgrep("-g", str(self._starts[node].pid), "-x", "raylet")
        return _pgrep("-P", ",".join(map(str, raylets)), "-f", f"^{name}") if raylets else []

    def kill_node(self, node: int) -> None:
        """What a power cut does."""
        for pid in self.pids(node, "ray::"):
            os.kill(pid, signal.SIGKILL)
        os.killpg(self._starts[node].pid, signal.SIGKILL)
        self._starts[node].wait()

    def stop(self) -> None:
        """End what was started here; safe to call twice."""
        for process in reversed(self._starts):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, host: str, *options: str) -> None:
        log = self.folder / f"node-{len(self._starts)}.log"
        command = [str(Path(sys.executable).parent / "ray"), "start", f"--node-ip-address={host}", *options]
        command += ["--block", "--num-cpus=1", f"--object-store-memory={_STORE_BYTES}", "--disable-usage-stats"]
        command += ["--include-log-monitor=false", f"--temp-dir={self.folder}"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._starts.append(process)

    def _wait_for_head(self) -> None:
        host, port = self.address.split(":")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._starts[0].poll() is not None:
                break
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"Ray did not start: {(self.folder / 'node-0.log').read_text()[-2000:]}")


def _pgrep(*options: str) -> list[int]:
    found = subprocess.run(["pgrep", *options], capture_output=True, text=True, check=False)
    return list(map(int, found.stdout.split()))
