"""The line of the benchmark: its bytes are whole, and it is as slow as it says."""

import socket
import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.bench.proxy import BYTES_PER_SECOND, DELAY_SECONDS, Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener.accept()[0] as client:
            while data := client.recv(65_536):
                client.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(10)
    listener.close()


def test_a_round_trip_has_the_delay_and_bytes_have_the_rate(echo: int) -> None:
    sent = Random(0).randbytes(5_000_000)
    with Proxy(echo) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as line:
        for _ in range(3):
            began = time.monotonic()
            line.sendall(b"?")
            assert line.recv(1) == b"?"
            assert time.monotonic() - began >= DELAY_SECONDS
            time.sleep(0.1)
        sending = threading.Thread(target=line.sendall, args=(sent,))
        began = time.monotonic()
        sending.start()
        got = b""
        while len(got) < len(sent):
            got += line.recv(1_000_000)
        sending.join()
        # But for what it may catch up with.
        assert time.monotonic() - began >= len(sent) / BYTES_PER_SECOND - 0.02
        assert got == sent


def test_all_connections_share_a_rate_in_all() -> None:
    """Two clients that send half each take as long as one that sends all."""
    listener = socket.create_server(("127.0.0.1", 0))
    half, rate = 1_000_000, 10_000_000

    def sink() -> None:
        with listener.accept()[0] as client:
            while client.recv(65_536):
                pass

    sinks = [threading.Thread(target=sink) for _ in range(2)]
    for thread in sinks:
        thread.start()
    began = time.monotonic()
    with Proxy(listener.getsockname()[1], rate=rate, shared=True) as proxy:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", proxy.port)) as line:
                line.sendall(bytes(half))
        for thread in sinks:
            thread.join(30)
    assert time.monotonic() - began >= 2 * half / rate - 0.02
    listener.close()
