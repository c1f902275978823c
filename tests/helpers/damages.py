"""What can become of a stored JSON document."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.stores import ObjectStore


def _changed(**members: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **members}).encode()


def _of_other_types(content: bytes) -> bytes:
    return json.dumps({name: [{"x": None}] for name in json.loads(content)}).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "not JSON": lambda content: b"<html>" + content,
    "not UTF-8": lambda content: b"\xff\xfe" + content,
    "zeros": lambda content: bytes(len(content)),
    "a list": lambda _: b"[]",
    "no members": lambda _: b"{}",
    "other types": _of_other_types,
    "a newer version": _changed(formatVersion=2),
    "a version that is no number": _changed(formatVersion="x" * 100_000),
    "a huge number": lambda content: content.rstrip()[:-1] + b',"formatVersion":' + b"9" * 100_000 + b"}",
    "nested deeply": lambda content: content.rstrip()[:-1] + b',"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "huge": lambda content: content[:1] + b" " * 2_000_000 + b'"formatVersion":2,' + content[1:],
}
"""From a document's bytes to those of a damaged one. None of them can be read by this version."""


def rewrite(store: ObjectStore, key: str, content: bytes, metadata: dict[str, str] | None = None) -> None:
    """Put those bytes in the place of an object, and metadata if given."""
    info = store.head(key)
    store.delete(key)
    kept = dict(info.metadata) if info else {}
    store.create(
        key,
        content,
        content_type=info.content_type if info else "application/json",
        metadata=kept if metadata is None else metadata,
    )


@contextmanager
def restored(store: ObjectStore, keys: Sequence[str]) -> Iterator[dict[str, bytes]]:
    """The objects' bytes, which are put back at the end."""
    whole = {key: store.read(key) for key in keys}
    try:
        yield whole
    finally:
        for key, content in whole.items():
            rewrite(store, key, content)
