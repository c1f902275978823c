"""A loopback HTTP server that reads bodies slowly and responds 201 to everything, as a slow connection to Azure."""

import socket
import threading
import time
from typing import Self

_CHUNK = 32 * 1024


class SlowServer:
    """Serves from construction to the end of the ``with`` block."""

    def __init__(self, bytes_per_second: int) -> None:
        self._pause = _CHUNK / bytes_per_second
        self._listener = socket.socket()
        # A small window, inherited by every connection, so that the kernel buffers little.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self.received = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as requests:
            while requests.readline():
                length = 0
                while (line := requests.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                while length:
                    chunk = requests.read(min(length, _CHUNK))
                    if not chunk:
                        return
                    length -= len(chunk)
                    self.received += len(chunk)
                    time.sleep(self._pause)
                connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 0\r\nETag: "0x1"\r\n\r\n')
