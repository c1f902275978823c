"""Requests sent as raw bytes, which no HTTP client normalises."""

import socket

from tests.helpers.server import Answer, Server


def send_bytes(server: Server, request: bytes) -> bytes:
    """Send bytes and return everything that the server sends until it closes or pauses for 2 s."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        connection.sendall(request)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except TimeoutError:
            pass
        except ConnectionResetError:
            pass
        return received


def send(server: Server, target: bytes, headers: bytes = b"", method: bytes = b"GET") -> Answer:
    """Send one request with the target unchanged; ``headers`` are complete lines."""
    request = b"%b %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%b\r\n" % (method, target, headers)
    head, _, body = send_bytes(server, request).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    return Answer(int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)
