"""The HTTP protocol of one connection: time limits, and the responses to malformed requests."""

import asyncio
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, cast

import h11
from starlette.types import Scope
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from web.http.connections import Connections
from web.http.error_body import error_body
from web.http.limits import MAX_HEAD_BYTES, QUERY_TOO_LONG
from web.telemetry import metrics
from web.telemetry.log_context import add_log_fields, log_fields, note_disconnect

BODY_BYTES_PER_SECOND = 32 * 1024
"""The minimum average speed of a request body, after the first ``TAILRACE_STALL_SECONDS``."""
_UNSENT_BYTES = 128 * 1024
"""Unsent bytes that the kernel buffers for a client; by default, a client that stalls fills megabytes."""
_REFUSAL_SECONDS = 2
"""The client may still be sending a refused request. If the connection closes first, the client loses the response."""
_UNREAD_BODY_SECONDS = 10
"""How long the client may continue to send the body of a request that has been answered."""

_REFUSALS = {
    400: (
        "invalid_request",
        "The request is not well-formed HTTP/1.1; see RFC 9112.",
    ),
    408: (
        "request_timeout",
        f"The request body took too long: send at least {BODY_BYTES_PER_SECOND:,} bytes per second.",
    ),
    414: ("uri_too_long", f"{QUERY_TOO_LONG}."),
    431: ("headers_too_large", f"The headers are longer than {MAX_HEAD_BYTES:,} bytes."),
    501: ("invalid_request", "Unsupported transfer encoding: use chunked, or send a Content-Length."),
}


@dataclass(slots=True)
class _BodyWait:
    """How long the service has waited for the body of one request, in seconds, without pauses of its own reading."""

    request: RequestResponseCycle
    first: int
    latest: int
    total: float = 0.0
    idle: float = 0.0
    answered: float = 0.0


class HttpProtocol(H11Protocol):
    """uvicorn's protocol, with limits on clients that stall and on what is buffered for them.

    Overrides callbacks of asyncio, and only public methods of uvicorn. `Connections` calls `check` about once a second.
    """

    head_seconds: ClassVar[float] = 10
    """The time from the start of a connection, or the first byte of a later request, to the end of the request head."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], connections: Connections
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._all = connections
        self._connected = False
        self._refused = False
        self._active = time.monotonic()
        self._head_wait: float | None = 0.0
        self._received = 0
        self._body_wait: _BodyWait | None = None
        self._drained = 0
        self._unsent: tuple[int, int] | None = None
        self._write_wait = 0.0

    @property
    def team(self) -> str:
        """The team of the latest request; empty if unknown."""
        # Every route adds the team to the log context of its request.
        return "" if self.cycle is None else str(log_fields(cast("Scope", self.cycle.scope)).get("team", ""))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Limit what is buffered: of a body in chunks of 64 KiB, one is here and one waits."""
        super().connection_made(transport)
        self._connected = True
        transport.set_write_buffer_limits(high=0)
        connected = transport.get_extra_info("socket")
        if connected is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)

    def data_received(self, data: bytes) -> None:
        """Receive bytes of a request."""
        if self._refused:
            return
        self._active = time.monotonic()
        self._received += len(data)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_wait = None
        elif self._head_wait is None:
            self._head_wait = 0.0

    def resume_writing(self) -> None:
        """Note that the buffer is empty, so the client is reading."""
        self._drained += 1
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Note when the connection became idle."""
        self._active = time.monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection, and note that what is sent from now on is lost."""
        if self.cycle is not None:
            note_disconnect(cast("Scope", self.cycle.scope))
        super().connection_lost(exc)
        self._all.discard(self)

    def check(self, elapsed: float, stall_seconds: float) -> float:
        """Account for ``elapsed`` seconds, end the connection if it is too slow, and return how long it has stalled."""
        if not self._connected:
            return 0.0
        if self._head_wait is not None:
            self._head_wait += elapsed
            if self._head_wait > self.head_seconds:
                self.end("slow_head")
        return max(self._check_write(elapsed, stall_seconds), self._check_body(elapsed, stall_seconds))

    def idle_seconds(self) -> float | None:
        """Return how long it has had no request; None while it has one, or a response to send."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy or self._refused or not self._connected or self.flow.write_paused:
            return None
        return time.monotonic() - self._active

    def announce_close(self) -> None:
        """Tell the client with the response under way, if it has not begun, that the connection will be closed."""
        if self.cycle is not None:
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"close")]

    def end(self, reason: str) -> None:
        """Close the connection at once, even if data is unsent."""
        if not self._connected:
            return
        self._note_end(reason)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's own message
        """Refuse a request that h11 found to be malformed."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        if status == 431 and b"\n" not in self.conn.trailing_data[0]:
            status = 414
        self._refuse(status if status in _REFUSALS else 400)

    def _check_write(self, elapsed: float, stall_seconds: float) -> float:
        if not self.flow.write_paused:
            self._unsent = None
            return 0.0
        unsent = (self._drained, self.transport.get_write_buffer_size())
        if unsent != self._unsent:
            self._unsent, self._write_wait = unsent, 0.0
            return 0.0
        self._write_wait += elapsed
        if self._write_wait >= stall_seconds:
            self.end("stalled_response")
        return self._write_wait

    def _check_body(self, elapsed: float, stall_seconds: float) -> float:
        if self.conn.their_state is not h11.SEND_BODY or self._refused:
            self._body_wait = None
            return 0.0
        wait = self._body_wait
        if wait is None or wait.request is not self.cycle:
            self._body_wait = _BodyWait(self.cycle, self._received, self._received)
            return 0.0
        if self.cycle.response_complete:
            wait.answered += elapsed
            if wait.answered > _UNREAD_BODY_SECONDS:
                self.end("unread_body")
            return 0.0
        if self.flow.read_paused:
            # The service has paused reading.
            return 0.0
        wait.total += elapsed
        wait.idle = wait.idle + elapsed if wait.latest == self._received else 0.0
        wait.latest = self._received
        allowed = stall_seconds + (wait.latest - wait.first) / BODY_BYTES_PER_SECOND
        if wait.idle >= stall_seconds or wait.total > allowed:
            self._note_end("stalled_body")
            self._refuse(408)
        return wait.idle

    def _note_end(self, reason: str) -> None:
        metrics.CONNECTIONS_ENDED.labels(reason).inc()
        if self.cycle is not None:
            add_log_fields(cast("Scope", self.cycle.scope), ended=reason)

    def _refuse(self, status: int) -> None:
        """Answer instead of the application, and close the connection."""
        self._head_wait = None
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # A response has started already.
            self.transport.close()
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        code, message = _REFUSALS[status]
        request_id = str(uuid.uuid4())
        body = error_body(message=message, code=code, details={}, request_id=request_id)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "x-request-id": request_id,
            "connection": "close",
        }
        answer = h11.Response(
            status_code=status, headers=list(headers.items()), reason=HTTPStatus(status).phrase.encode()
        )
        sent = [self.conn.send(event) or b"" for event in (answer, h11.Data(data=body), h11.EndOfMessage())]
        self.transport.write(b"".join(sent))
        self._refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_REFUSAL_SECONDS, self.transport.close)
