"""The Azure Blob emulator as a subprocess: on loopback, with its data in a temporary directory."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Self

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The public key of the emulator's public account, which is not a secret."""

_MODULES = Path(__file__).parents[1] / "azurite" / "node_modules"
_SCRIPT = _MODULES / "azurite" / "dist" / "src" / "blob" / "main.js"
_FIRST_PORT, _PORTS_A_WORKER, _WORKERS = 20_000, 790, 16
"""Above the ports that Ray gives to its workers."""
_START_SECONDS = 120.0
"""A bound of what hangs: it takes a second on an idle machine."""


def available() -> str | None:
    """The reason to skip if the emulator cannot be started, else None."""
    if shutil.which("node") is None:
        return "Azurite needs Node.js, and there is no `node` on the PATH"
    if not _SCRIPT.is_file():
        return "Azurite is not installed: run `npm ci` in tests/azurite"
    return None


def connection_string(port: int) -> str:
    """The connection string of an emulator at that port, which need not be running."""
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"


def _ports() -> Iterator[int]:
    """Ports of this process of pytest alone, each again only after all others; below those that the kernel picks."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    own = range(_FIRST_PORT + worker * _PORTS_A_WORKER, _FIRST_PORT + (worker + 1) * _PORTS_A_WORKER)
    # Two runs of the suite begin at different ones.
    begin = random.randrange(_PORTS_A_WORKER)
    return cycle([*own[begin:], *own[:begin]])


_PORTS = _ports()


def free_port() -> int:
    """A loopback port on which nothing is listening.

    The kernel would give one port to two tests if the server of the first has not yet begun to listen.
    """
    for port in islice(_PORTS, _PORTS_A_WORKER):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


class Azurite:
    """An emulator that runs from construction to `stop`, or as a context manager.

    Its data is on disk: in memory it retains freed extents and then refuses writes with 409. ``node_options`` are
    options of Node.js.
    """

    def __init__(self, *node_options: str) -> None:
        reason = available()
        if reason is not None:
            raise RuntimeError(reason)
        self._directory = tempfile.TemporaryDirectory(prefix="tailrace-azurite-")
        self.port = free_port()
        self.connection_string = connection_string(self.port)
        node = shutil.which("node") or "node"
        self._command = [node, *node_options, str(_SCRIPT), "--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        self._command += ["--location", self._directory.name, "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        self.start()

    def start(self) -> None:
        """Start the process, which the constructor does, on the data that are there."""
        folder = Path(self._directory.name)
        with (folder / "azurite.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the process at once, and leave its data."""
        self._process.kill()
        self._process.wait()

    def wait_until_written(self, name: str) -> None:
        """Wait until a blob is in its file of metadata, which it writes every few seconds: a kill loses the rest."""
        file = Path(self._directory.name) / "__azurite_db_blob__.json"
        deadline = time.monotonic() + _START_SECONDS
        while not file.exists() or name.encode() not in file.read_bytes():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} was not written")
            time.sleep(0.1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the process and remove its data; may be called twice."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._directory.cleanup()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                log = (Path(self._directory.name) / "azurite.log").read_text(errors="replace")
                raise RuntimeError(f"Azurite exited with status {self._process.returncode}: {log}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"Azurite did not listen within {_START_SECONDS:.0f} s")
