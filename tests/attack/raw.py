"""Bytes on the socket: no client of ours normalises them."""

import socket

from tests.helpers.server import Answer, Server


def sent(server: Server, request: bytes) -> bytes:
    """Everything that comes back until the server hangs up or says nothing for a moment."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as line:
        line.sendall(request)
        came = b""
        try:
            while data := line.recv(65536):
                came += data
        except TimeoutError:
            pass
        except ConnectionResetError:
            pass
        return came


def asked(server: Server, target: bytes, headers: bytes = b"", method: bytes = b"GET") -> Answer:
    """The answer to one request for a target that goes out as it is; ``headers`` are whole lines."""
    request = b"%b %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%b\r\n" % (method, target, headers)
    head, _, body = sent(server, request).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    return Answer(int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)
