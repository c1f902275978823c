"""A connection of a client: its heads have a bounded time, and what is no request is answered in our words."""

import asyncio
import sys
import uuid
from http import HTTPStatus
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from web.api.models import error_answer
from web.auth.request_auth import QUERY_TOO_LONG

LONGEST_HEAD_BYTES = 128 * 1024
"""Above our own bound of a query, most of which is told with its request."""
_DRAIN_SECONDS = 2
"""What is refused may still be on its way: a connection that is closed before it is read loses its answer."""

_REFUSALS = {
    400: (
        "invalid_request",
        "The request is not well-formed HTTP/1.1: send its lines and length as RFC 9112 says.",
    ),
    414: ("uri_too_long", f"{QUERY_TOO_LONG}."),
    431: ("headers_too_large", f"The headers are longer than {LONGEST_HEAD_BYTES} bytes: leave some out."),
    501: ("invalid_request", "The transfer encoding is unknown: send a length, or chunks."),
}


class Connection(H11Protocol):
    """uvicorn's own, but it hangs up on whoever sends a head too slowly: before it is whole, nobody knows who it is.

    Bodies have no such time: they are read only of callers who are known by then.
    """

    head_seconds: ClassVar[float] = 10
    """From the beginning of a connection, or the first byte of a later request, to the end of its head."""

    _late: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self._refused:
            return
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # it says what uvicorn would
        """Refuse what h11 has just found to be no request, and hang up."""
        self._stop()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # The rest of an answer cannot be made another one.
            self.transport.close()
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        status = getattr(sys.exception(), "error_status_hint", 400)
        if status == 431 and b"\n" not in self.conn.trailing_data[0]:
            status = 414
        code, message = _REFUSALS.get(status, _REFUSALS[400])
        request_id = str(uuid.uuid4())
        body = error_answer(message=message, code=code, details={}, request_id=request_id)
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
        self.loop.call_later(_DRAIN_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._late is None:
            self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
