"""A download: what it holds of the store while its client does not read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from engine.stores.local.store import DirectoryStore
from engine.stores.marked import MarkedStore
from engine.stores.object_stream import MAX_CHUNK_BYTES, ObjectStream
from tests.helpers.statements import until
from web.http import streaming
from web.http.streaming import FileStream

SCOPE: dict[str, Any] = {"type": "http", "asgi": {"spec_version": "2.4"}}


class Chunks(ObjectStream):
    """Three chunks, and what was done to the stream meanwhile."""

    def __init__(self) -> None:
        self.left = [b"a", b"b", b"c"]
        self.done: list[str] = []

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        self.done.append("read")
        return self.left.pop(0)

    def suspend(self) -> None:
        self.done.append("suspend")

    def close(self) -> None:
        self.done.append("close")


async def _never() -> Message:
    raise AssertionError


def sent(stream: ObjectStream, drain: Callable[[bytes], Awaitable[None]]) -> bytes:
    """The body of a response to a client that takes each message as ``drain`` says."""
    body = bytearray()

    async def send(message: Message) -> None:
        await drain(message.get("body", b""))
        body.extend(message.get("body", b""))

    async def respond() -> None:
        response = await FileStream.open(lambda: stream, 200, {})
        await response(SCOPE, _never, send)

    asyncio.run(respond())
    return bytes(body)


def test_a_stream_is_suspended_while_its_client_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "SUSPEND_SECONDS", 0.01)
    stream, seen = Chunks(), bytearray()

    async def drain(body: bytes) -> None:
        seen.extend(body)
        # The message after the second chunk waits until that is read by the client.
        if bytes(seen) == b"ab" and not body:
            assert await asyncio.to_thread(until, lambda: "suspend" in stream.done)

    assert sent(stream, drain) == b"abc"
    assert [what for what in stream.done if what != "close"] == ["read", "read", "suspend", "read"]
    assert stream.done[-1] == "close"


def test_a_stream_is_not_suspended_while_its_client_reads() -> None:
    stream = Chunks()

    async def drain(_: bytes) -> None:
        await asyncio.sleep(0)

    assert sent(stream, drain) == b"abc"
    assert stream.done == ["read", "read", "read", "close"]


def test_a_stream_that_cannot_begin_is_closed() -> None:
    stream = Chunks()

    def fail(self: Chunks) -> bytes:
        raise OSError("unreadable")

    async def opened() -> None:
        await FileStream.open(lambda: stream, 200, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Chunks, "__next__", fail)
        with pytest.raises(OSError, match="unreadable"):
            asyncio.run(opened())
    assert stream.done == ["close"]


def test_a_file_that_the_kernel_has_in_memory_is_read_without_a_thread(tmp_path: Path) -> None:
    directory = DirectoryStore(tmp_path / "store")
    data = bytes(5_000_000)
    info = directory.create("k", data, content_type="text/csv", metadata={})
    with closing(directory.stream("k", start=0, length=len(data), etag=info.etag)) as direct:
        next(direct)
        if direct.cached() is None:
            pytest.skip("this file system has no reads without waiting")
    # As in the service: the check of the marker must not hide it.
    stream = MarkedStore(directory, lambda: None).stream("k", start=0, length=len(data), etag=info.etag)
    chunks = [next(stream), *iter(stream.cached, None)]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) == MAX_CHUNK_BYTES
    assert list(stream) == []
