"""Ctrl-C in every command, when it starts and while it works: one line and exit code 130, also if it takes long."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.forks import run
from tests.helpers.server import Server
from tests.helpers.terminal import CTRL_C, ENTER, Terminal
from tests.web.test_cli_publish import AT_IMPORT, INTERRUPTED

COMMANDS = {
    "delete": ["delete", "w", "--yes"],
    "doctor": ["doctor"],
    "explain": ["explain", "w"],
    "export": ["export", "w", "-q"],
    "init": ["init"],
    "keys": ["keys", "list", "--file", "keys.jsonl"],
    "mcp": ["mcp", "--key", "k"],
    "runs": ["runs"],
    "serve": ["serve"],
    "sign": ["sign", "w", "0c5efbcd-8f6d-8b3e-9a5b-2f6a3f0a7a11"],
    "sql": ["sql", "FROM runs"],
    "sweep": ["sweep"],
    "verify": ["verify"],
}
AT_STORE = """
import os, signal, sys, time

pressed = False

def press():
    os.kill(os.getpid(), signal.SIGINT)

def interrupting(function):
    def call(*arguments, **named):
        global pressed
        if pressed:
            return function(*arguments, **named)
        pressed = True
        try:
            press()
        finally:
            {meanwhile}
        return function(*arguments, **named)
    return call

from engine.stores.local.store import DirectoryStore
for name in ("head", "read", "list"):
    setattr(DirectoryStore, name, interrupting(getattr(DirectoryStore, name)))
from web.cli import main
main()
"""
"""The command, which is interrupted at its first use of a store."""

BEFORE_A_CALL = """
import ctypes, operator, os, signal
from functools import partial
from types import SimpleNamespace

kill = ctypes.CDLL(None).kill

def press_and_write(descriptor, data):
    # Between the two calls the interpreter, which would call the handler, does not come to run.
    return list(map(operator.call, [partial(kill, os.getpid(), signal.SIGINT), partial(os.write, descriptor, data)]))[1]

from engine.stores.local import durable_files
durable_files.os = SimpleNamespace(**vars(os) | {"write": press_and_write})
from web.cli import main
main()
"""
"""The command, which is interrupted just before it waits for the reader of its output."""

SLOW = "\ntailrace: cancelling; press Ctrl-C again to end at once."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Stores with a run; nothing serves them."""
    folder = tmp_path_factory.mktemp("interrupts")
    server = Server((str(folder / "store"), {}), folder)
    (folder / "rows.csv").write_text("a\n1\n2\n")
    (folder / "keys.jsonl").touch()
    server.publish("--workflow", "w", "--run", "r", "rows.csv")
    return server


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_while_a_command_is_imported(server: Server, name: str) -> None:
    # At another import for each.
    moment = str(20 + 25 * list(COMMANDS).index(name))
    done = subprocess.run(
        [sys.executable, "-c", AT_IMPORT, moment, *COMMANDS[name]],
        cwd=server.folder, env=server.environment, capture_output=True, text=True, timeout=120,
        start_new_session=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout) == (130, INTERRUPTED, "")


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"keys", "mcp", "serve"}))
def test_ctrl_c_while_a_command_uses_a_store(server: Server, name: str) -> None:
    # A key that bounces is pressed once.
    program = AT_STORE.format(meanwhile="press()")
    done = run(COMMANDS[name], server.environment, server.folder, program=program)
    assert (done.returncode, done.stderr, done.stdout) == (130, INTERRUPTED, "")


@pytest.mark.parametrize("command", ["sql", "export"])
def test_ctrl_c_just_before_the_output_has_to_wait(server: Server, command: str) -> None:
    arguments = ["sql", "FROM range(1000)"] if command == "sql" else ["export", "w", "-q", "--format", "csv"]
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(65_536))
        os.set_blocking(writing, True)
        done = subprocess.run(
            [sys.executable, "-c", BEFORE_A_CALL, *arguments],
            cwd=server.folder, env=server.environment, stdin=subprocess.DEVNULL, stdout=writing,
            stderr=subprocess.PIPE, text=True, timeout=60, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stderr) == (130, INTERRUPTED)


@pytest.mark.parametrize(
    ("meanwhile", "end"),
    [("time.sleep(1.3)", INTERRUPTED), ("time.sleep(1.3); press(); time.sleep(60)", INTERRUPTED)],
    ids=["once", "twice"],
)
def test_what_takes_longer_to_cancel_says_so_and_ends_at_once_if_asked_again(
    server: Server, meanwhile: str, end: str
) -> None:
    program = AT_STORE.format(meanwhile=meanwhile)
    done = run(COMMANDS["verify"], server.environment, server.folder, program=program)
    assert (done.returncode, done.stderr, done.stdout) == (130, SLOW + end, "")


def test_ctrl_c_ends_the_tools_that_wait_for_an_assistant(server: Server) -> None:
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    with Terminal(server.environment, server.folder, "mcp", "--key", "k") as terminal:
        terminal.type(json.dumps(hello) + ENTER)
        terminal.read_until("serverInfo")
        terminal.type(CTRL_C)
        assert "Traceback" not in terminal.read_until("tailrace: interrupted.")
        assert terminal.wait() == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_service_at_a_terminal_says_that_it_has_stopped(
    server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    with Terminal(server.environment, server.folder, "serve") as terminal:
        terminal.read_until("listening")
        if number is signal.SIGINT:
            terminal.type(CTRL_C)
        else:
            os.kill(terminal.process.pid, number)
        shown = terminal.read_until("stopped")
        assert "Traceback" not in shown
        assert terminal.wait() == (130 if number is signal.SIGINT else -number)
