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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from tests.helpers.azurite import free_port

HEAD = "127.0.0.2"
_START_SECONDS = 60
_STORE_BYTES = 1_500_000_000
_QUICK = {"RAY_health_check_period_ms": "1000"}
"""A node is given up after five checks without an answer, so in 5 s instead of 15."""


def available() -> str | None:
    """None if a cluster can be started, else the reason to skip."""
    return None if find_spec("ray") else "Ray is not installed: make test-cluster has it"


class RayCluster:
    """A head on 127.0.0.2 and nodes on the addresses after it, one CPU each, with token authentication.

    ``environment`` is what the nodes have, which is where tasks find credentials.
    """

    def __init__(self, nodes: int = 2, environment: Mapping[str, str] | None = None, port: int | None = None) -> None:
        # Ray puts sockets below it, whose paths are short.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.address = f"{HEAD}:{port or free_port()}"
        # Also what a driver needs to come in.
        self.access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        root = str(Path(__file__).parents[2])
        self._environment = {**os.environ, "PYTHONPATH": root, **_QUICK, **self.access, **(environment or {})}
        self._starts: list[subprocess.Popen[bytes]] = []
        try:
            port = int(self.address.split(":")[1])
            self._starts.append(self._start(0, "--head", f"--port={port}", "--include-dashboard=false"))
            self._wait_for_head()
            self._starts += [self._start(number, f"--address={self.address}") for number in range(1, nodes)]
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

    @property
    def raylets(self) -> list[int]:
        """The raylets of all nodes."""
        found = dict(_processes())
        return [pid for start in self._starts for pid in _raylets(found, start.pid)]

    def pids(self, node: int, name: str) -> list[int]:
        """Processes of a node whose name begins so; workers that run a task begin with ``ray::`` and its name."""
        found = dict(_processes())
        raylets = _raylets(found, self._starts[node].pid)
        return [pid for pid, (parent, _, command) in found.items() if parent in raylets and command.startswith(name)]

    def kill_node(self, node: int) -> None:
        """What a power cut does."""
        for pid in self.pids(node, "ray::"):
            # One that was idle for long may end by itself in this moment.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.killpg(self._starts[node].pid, signal.SIGKILL)
        self._starts[node].wait()

    def start_node(self, node: int, *, before: Path | None = None) -> None:
        """Start another one in the place of one that was killed, which is not the head.

        ``before``: where its processes look for packages first.
        """
        path = self._environment["PYTHONPATH"]
        environment = {} if before is None else {"PYTHONPATH": f"{before}{os.pathsep}{path}"}
        self._starts[node] = self._start(node, f"--address={self.address}", environment=environment)

    def stop(self) -> None:
        """End what was started here; safe to call twice."""
        for process in reversed(self._starts):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(
        self, node: int, *options: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        log = self.folder / f"node-{node}.log"
        address = f"127.0.0.{2 + node}"
        command = [str(Path(sys.executable).parent / "ray"), "start", f"--node-ip-address={address}", *options]
        command += ["--block", "--num-cpus=1", f"--object-store-memory={_STORE_BYTES}", "--disable-usage-stats"]
        command += ["--include-log-monitor=false", f"--temp-dir={self.folder}"]
        with log.open("ab") as out:
            return subprocess.Popen(
                command,
                env={**self._environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

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


def worker_of(cluster: RayCluster, task: str, seconds: float = 60) -> int:
    """The process of a running task of that kind, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for node in range(2):
            for pid in cluster.pids(node, f"ray::{task}"):
                return pid
        time.sleep(0.01)
    raise TimeoutError(f"no {task} ran")


def drivers_of(service: int) -> list[int]:
    """Drivers that a process started."""
    return [pid for pid, (parent, _, command) in _processes() if parent == service and "-m engine.runners " in command]


def _raylets(processes: Mapping[int, tuple[int, int, str]], group: int) -> set[int]:
    return {pid for pid, (_, of, command) in processes.items() if of == group and "/raylet " in command}


def _processes() -> Iterator[tuple[int, tuple[int, int, str]]]:
    """All of this machine by pid: parent, group and command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(folder.name), (int(fields[1]), int(fields[2]), command)
