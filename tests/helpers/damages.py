"""Damages of a stored JSON document."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.stores import ObjectStore


def _changed(**members: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **members}).encode()


def _with_wrong_types(content: bytes) -> bytes:
    return json.dumps({name: [{"x": None}] for name in json.loads(content)}).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "not JSON": lambda content: b"<html>" + content,
    "not UTF-8": lambda content: b"\xff\xfe" + content,
    "zeros": lambda content: bytes(len(content)),
    "a list": lambda _: b"[]",
    "no members": lambda _: b"{}",
    "wrong types": _with_wrong_types,
    "a newer version": _changed(formatVersion=2),
    "a version that is not a number": _changed(formatVersion="x" * 100_000),
    "a huge number": lambda content: content.rstrip()[:-1] + b',"formatVersion":' + b"9" * 100_000 + b"}",
    "nested deeply": lambda content: content.rstrip()[:-1] + b',"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "huge": lambda content: content[:1] + b" " * 2_000_000 + b'"formatVersion":2,' + content[1:],
}
"""Functions from a document's bytes to those of a damaged one, which this version cannot read."""


def rewrite(store: ObjectStore, key: str, content: bytes, metadata: dict[str, str] | None = None) -> None:
    """Replace an object by other bytes, and by other metadata if given."""
    info = store.head(key)
    store.delete(key)
    current = dict(info.metadata) if info else {}
    store.create(
        key,
        content,
        content_type=info.content_type if info else "application/json",
        metadata=current if metadata is None else metadata,
    )


@contextmanager
def restored(store: ObjectStore, keys: Sequence[str]) -> Iterator[dict[str, bytes]]:
    """The bytes of the objects, which are restored at the end of the block."""
    whole = {key: store.read(key) for key in keys}
    try:
        yield whole
    finally:
        for key, content in whole.items():
            rewrite(store, key, content)
