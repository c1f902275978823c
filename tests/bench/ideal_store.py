"""An ideal object store: a server on loopback that speaks Azure Blob, counts the bytes that it gets and drops them.

A store that costs next to nothing shows what a contender itself costs. It implements what the contenders' clients need:
Put Block, Put Block List, Put Blob, Get Blob (with ranges), HEAD, DELETE, List Blobs, create container, and conditions
on ETags. It checks no signatures. The kernel discards the bodies (``MSG_TRUNC``), so the store takes little processor
time. Small bodies are always kept, since our service reads its own documents again. In keeping mode (``POST /-/keep``)
all bodies stay in memory, so that outputs can be read back and verified. Reading a dropped body is an error.

As a program (``python -m tests.bench.ideal_store``) it prints the port that it listens on, and ends with its parent.
"""

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEPT_BYTES = 64 * 1024
"""Bodies of up to this size are kept in either mode."""
_PIECE_BYTES = 1024 * 1024
_LIST_RESULTS = 5_000
_BLOCK_ID = re.compile(rb"<(?:Latest|Uncommitted|Committed)>([^<]*)<")
_CONTAINER = {
    "ETag": '"0x1"',
    "x-ms-lease-state": "available",
    "x-ms-lease-status": "unlocked",
    "x-ms-has-immutability-policy": "false",
    "x-ms-has-legal-hold": "false",
    "x-ms-immutable-storage-with-versioning-enabled": "false",
    "x-ms-default-encryption-scope": "$account-encryption-key",
    "x-ms-deny-encryption-scope-override": "false",
}
"""The properties of a container: the C++ SDK requires all of them."""


class Refused(Exception):
    """A request that the store refuses, with a status and an error code of Azure's."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Block:
    """A block that was put: its length, and its bytes if they were kept."""

    size: int
    body: bytearray | None


@dataclass(frozen=True)
class Blob:
    """A committed blob."""

    blocks: tuple[Block, ...]
    etag: str
    modified: str
    content_type: str
    metadata: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(block.size for block in self.blocks)

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """The bytes from ``start`` up to ``end``. Raises Refused if they were dropped."""
        at = 0
        for block in self.blocks:
            first, last = max(start - at, 0), min(end - at, block.size)
            if first < last:
                if block.body is None:
                    raise Refused(410, "BodyDropped")
                yield memoryview(block.body)[first:last]
            at += block.size


@dataclass
class Request:
    """One request: its head, and its body if that was kept."""

    method: str
    container: str
    name: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    block: Block = field(default_factory=lambda: Block(0, bytearray()))


@dataclass(frozen=True)
class Response:
    """One response; ``length`` is set for HEAD, whose body is left out."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: tuple[bytes | bytearray | memoryview, ...] = ()
    length: int | None = None


class IdealStore:
    """Containers, blobs and uncommitted blocks, in memory."""

    def __init__(self) -> None:
        self.keeping = False
        self._mutex = threading.Lock()
        self._containers: set[str] = set()
        self._blobs: dict[tuple[str, str], Blob] = {}
        self._blocks: dict[tuple[str, str], dict[str, Block]] = {}
        self._numbers = count(1)
        self._received = 0

    def answer(self, request: Request) -> Response:
        """The response to a request. Raises Refused."""
        if request.container == "-":
            return self._control(request)
        with self._mutex:
            self._received += request.block.size
            if not request.name:
                return self._of_container(request)
            return self._of_blob(request)

    def _control(self, request: Request) -> Response:
        """The bench's own requests: what is kept, how much came, and away with all of it."""
        with self._mutex:
            if request.name == "keep":
                self.keeping = request.query["on"] == "1"
            elif request.name == "empty":
                wanted, kept = request.query["container"], request.query.get("but", "")
                self._blobs = {key: blob for key, blob in self._blobs.items() if key[0] != wanted or key[1] == kept}
                self._blocks = {key: blocks for key, blocks in self._blocks.items() if key[0] != wanted}
                self._received = 0
            sizes = {"/".join(key): blob.size for key, blob in self._blobs.items()}
            stats = {"received": self._received, "blobs": sizes}
        return Response(200, {"Content-Type": "application/json"}, (json.dumps(stats).encode(),))

    def _of_container(self, request: Request) -> Response:
        there = request.container in self._containers
        if request.method == "PUT":
            if there:
                raise Refused(409, "ContainerAlreadyExists")
            self._containers.add(request.container)
            return Response(201, {**_CONTAINER, "Last-Modified": formatdate(usegmt=True)})
        if not request.container:
            return Response(200, {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2"})
        if not there:
            raise Refused(404, "ContainerNotFound")
        if request.query.get("comp") == "list":
            return Response(200, {"Content-Type": "application/xml"}, (self._listing(request).encode(),))
        return Response(200, {**_CONTAINER, "Last-Modified": formatdate(usegmt=True)})

    def _listing(self, request: Request) -> str:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        limit, after = int(request.query.get("maxresults", _LIST_RESULTS)), request.query.get("marker", "")
        names = sorted(name for container, name in self._blobs if container == request.container)
        entries: dict[str, str] = {}
        following = ""
        for name in names:
            if not name.startswith(prefix) or name <= after:
                continue
            rest = name[len(prefix) :]
            folder = f"{prefix}{rest.partition(delimiter)[0]}{delimiter}" if delimiter and delimiter in rest else ""
            if len(entries) == limit and (folder or name) not in entries:
                break
            # A marker is the last name that was looked at, so that no folder comes twice.
            following = name
            entries[folder or name] = (
                f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>"
                if folder
                else _blob_element(name, self._blobs[request.container, name])
            )
        else:
            following = ""
        return (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{request.container}">'
            f"<Prefix>{escape(prefix)}</Prefix><MaxResults>{limit}</MaxResults><Blobs>{''.join(entries.values())}</Blobs>"
            f"<NextMarker>{escape(following)}</NextMarker></EnumerationResults>"
        )

    def _of_blob(self, request: Request) -> Response:
        if request.container not in self._containers:
            raise Refused(404, "ContainerNotFound")
        key, comp = (request.container, request.name), request.query.get("comp", "")
        if request.method == "PUT" and comp == "block":
            source = request.headers.get("x-ms-copy-source")
            block = self._copied(request, source) if source else request.block
            self._blocks.setdefault(key, {})[request.query["blockid"]] = block
            return Response(201)
        blob = self._blobs.get(key)
        if request.method == "PUT" and comp in ("", "blocklist"):
            _check_conditions(request, blob)
            return _written(self._write(key, request))
        if blob is None:
            raise Refused(404, "BlobNotFound")
        _check_conditions(request, blob)
        if request.method == "DELETE":
            del self._blobs[key]
            return Response(202)
        if comp or request.method not in ("GET", "HEAD"):
            raise Refused(501, "NotImplemented")
        return _read(request, blob)

    def _copied(self, request: Request, source: str) -> Block:
        """The block of a Put Block From URL, whose source is another blob of this store."""
        named = _parsed(f"GET {urlsplit(source).path} HTTP/1.1".encode())
        blob = self._blobs.get((named.container, named.name))
        if blob is None:
            raise Refused(404, "CannotVerifyCopySource")
        if request.headers.get("x-ms-source-if-match", blob.etag).strip('"') != blob.etag:
            raise Refused(412, "SourceConditionNotMet")
        first, _, last = request.headers.get("x-ms-source-range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1, blob.size) if last else blob.size
        body = bytearray(b"".join(blob.pieces(start, end))) if self.keeping else None
        return Block(end - start, body)

    def _write(self, key: tuple[str, str], request: Request) -> Blob:
        blocks: tuple[Block, ...] = (request.block,)
        if request.query.get("comp") == "blocklist":
            staged = self._blocks.get(key, {})
            wanted = [match.decode() for match in _BLOCK_ID.findall(bytes(request.block.body or b""))]
            if not staged.keys() >= set(wanted):
                raise Refused(400, "InvalidBlockList")
            blocks = tuple(staged[block_id] for block_id in wanted)
        self._blocks.pop(key, None)
        headers = request.headers
        prefix = "x-ms-meta-"
        metadata = {name: value for name, value in headers.items() if name.startswith(prefix)}
        content_type = (
            headers.get("x-ms-blob-content-type") or headers.get("content-type") or "application/octet-stream"
        )
        etag = f"0x{next(self._numbers):016X}"
        blob = Blob(blocks, etag, formatdate(usegmt=True), content_type, metadata)
        self._blobs[key] = blob
        return blob


def _check_conditions(request: Request, blob: Blob | None) -> None:
    match, none = request.headers.get("if-match"), request.headers.get("if-none-match")
    if none == "*" and blob is not None and request.method == "PUT":
        raise Refused(409, "BlobAlreadyExists")
    if match == "*" and blob is None:
        raise Refused(412, "ConditionNotMet")
    if match not in (None, "*") and (blob is None or str(match).strip('"') != blob.etag):
        raise Refused(412, "ConditionNotMet")
    if blob is not None and none is not None and none.strip('"') == blob.etag:
        raise Refused(304, "ConditionNotMet")


def _written(blob: Blob) -> Response:
    return Response(201, {"ETag": f'"{blob.etag}"', "Last-Modified": blob.modified})


def _read(request: Request, blob: Blob) -> Response:
    headers = {
        "ETag": f'"{blob.etag}"',
        "Last-Modified": blob.modified,
        "Content-Type": blob.content_type,
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": blob.modified,
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "true",
        **blob.metadata,
    }
    status, start, end = 200, 0, blob.size
    wanted = request.headers.get("x-ms-range") or request.headers.get("range")
    if wanted and request.method == "GET":
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        # "-N" is the last N bytes: Azure itself does not know it, and no contender is measured by it.
        start = int(first) if first else max(blob.size - int(last), 0)
        end = min(int(last) + 1, blob.size) if first and last else blob.size
        if start >= blob.size:
            raise Refused(416, "InvalidRange")
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
    if request.method == "HEAD":
        return Response(200, headers, length=blob.size)
    return Response(status, headers, tuple(blob.pieces(start, end)))


def _blob_element(name: str, blob: Blob) -> str:
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{blob.modified}</Creation-Time>"
        f"<Last-Modified>{blob.modified}</Last-Modified><Etag>{blob.etag}</Etag>"
        f"<Content-Length>{blob.size}</Content-Length><Content-Type>{escape(blob.content_type)}</Content-Type>"
        "<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        "<ServerEncrypted>true</ServerEncrypted></Properties></Blob>"
    )


class Connection:
    """One client: requests are read, answered and forgotten, one after the other."""

    def __init__(self, client: socket.socket, store: IdealStore) -> None:
        self._client = client
        self._store = store
        self._ahead = bytearray()
        self._scratch = bytearray(_PIECE_BYTES)

    def serve(self) -> None:
        """Answer until the client goes away."""
        with self._client, suppress(ConnectionError):
            while (head := self._head()) is not None:
                request = _parsed(head)
                try:
                    request.block = self._body(request)
                    response = self._store.answer(request)
                except Refused as refused:
                    response = _refusal(request, refused)
                self._send(response)

    def _head(self) -> bytes | None:
        while (end := self._ahead.find(b"\r\n\r\n")) < 0:
            piece = self._client.recv(65_536)
            if not piece:
                return None
            self._ahead += piece
        head = bytes(self._ahead[:end])
        del self._ahead[: end + 4]
        return head

    def _body(self, request: Request) -> Block:
        """Read the body to its end: into memory if it is kept, else into nothing."""
        if "transfer-encoding" in request.headers:
            raise Refused(411, "MissingContentLengthHeader")
        length = int(request.headers.get("content-length", "0"))
        if request.headers.get("expect", "").lower() == "100-continue":
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        keep = self._store.keeping or length <= KEPT_BYTES or request.query.get("comp") == "blocklist"
        here = min(length, len(self._ahead))
        body = bytearray(length) if keep else None
        if body is not None:
            body[:here] = self._ahead[:here]
        del self._ahead[:here]
        view, flags = memoryview(body if body is not None else self._scratch), 0 if keep else socket.MSG_TRUNC
        while here < length:
            target = view[here:] if keep else view[: min(length - here, _PIECE_BYTES)]
            got = self._client.recv_into(target, len(target), flags)
            if not got:
                raise ConnectionResetError("the client left in the middle of a body")
            here += got
        return Block(length, body)

    def _send(self, response: Response) -> None:
        length = sum(map(len, response.body)) if response.length is None else response.length
        headers = {
            "Server": "ideal-store",
            "Date": formatdate(usegmt=True),
            "x-ms-version": "2025-05-05",
            "x-ms-request-id": "00000000-0000-0000-0000-000000000000",
            "x-ms-request-server-encrypted": "true",
            **response.headers,
            "Content-Length": str(length),
        }
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        small = length <= KEPT_BYTES
        self._client.sendall(head + b"".join(response.body) if small else head)
        for piece in () if small else response.body:
            self._client.sendall(piece)


def _parsed(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = urlsplit(target)
    # "/account/container/name of the blob", or "/-/word" of the bench.
    account, _, path = parts.path.lstrip("/").partition("/")
    container, _, name = path.partition("/")
    if account == "-":
        container, name = account, path
    query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return Request(method, unquote(container), unquote(name), query, headers)


def _refusal(request: Request, refused: Refused) -> Response:
    headers = {"x-ms-error-code": refused.code}
    if request.method == "HEAD" or refused.status == 304:
        # Without a type: some clients parse what is announced as XML, even where there is no body.
        return Response(refused.status, headers)
    error = f"<Error><Code>{refused.code}</Code><Message>{refused.code}</Message></Error>"
    headers["Content-Type"] = "application/xml"
    return Response(refused.status, headers, (f'<?xml version="1.0" encoding="utf-8"?>{error}'.encode(),))


def _accept(listener: socket.socket, store: IdealStore) -> None:
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(client, store).serve, daemon=True).start()


def main() -> None:
    """Serve until standard input ends, as it does when the bench ends, however that ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threading.Thread(target=_accept, args=(listener, IdealStore()), daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
