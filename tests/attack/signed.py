"""A signed URL as bytes of a request, and functions that alter it."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from engine.request.formats import FORMATS
from tests.helpers.server import OTHER_KEY, TEAM, Server
from web.auth.signed_urls import SigningKey, UrlSigner

PREVIOUS, CURRENT = SigningKey("k1", b"1" * 40), SigningKey("k2", b"2" * 40)
"""The keys of the service; the second one signs."""
RETIRED = SigningKey("k0", b"0" * 40)
"""A key that the service no longer has."""
SIGNING_KEYS = ",".join(f"{key.kid}={key.secret.decode()}" for key in (CURRENT, PREVIOUS))
"""The service's setting of these keys."""
TTL = timedelta(hours=2)


@dataclass(frozen=True)
class Signed:
    """The URL of one export; ``others`` are further exports that exist, by name."""

    base: str
    export: Mapping[str, Any]
    others: Mapping[str, Mapping[str, Any]]

    @property
    def target(self) -> bytes:
        """The request target: path and query."""
        parts = urlsplit(self.export["url"])
        return f"{parts.path}?{parts.query}".encode()

    @property
    def end(self) -> datetime:
        """When the URL expires."""
        return datetime.fromisoformat(self.export["expiresAt"])

    def value(self, name: bytes) -> bytes:
        """The value of a parameter."""
        return dict(pair.split(b"=") for pair in self.target.partition(b"?")[2].split(b"&"))[name]

    def swapped(self, old: bytes, new: bytes) -> bytes:
        """The target with ``old``, which must occur once, replaced."""
        assert self.target.count(old) == 1, old
        return self.target.replace(old, new)


def create_exports(server: Server) -> Signed:
    """Create an export of the workflow people and some others, and return the URL of the first."""
    source = str(server.folder / "people.json")
    for workflow, team in (("animals", TEAM), ("theirs", "rival")):
        server.publish("--workflow", workflow, "--run", "r1", source, team=team)
    others = {
        "of the same workflow": server.export("people", order="desc", sortBy="age"),
        "of another workflow": server.export("animals"),
        "of another team": server.export("theirs", OTHER_KEY),
    }
    export = server.export("people").json()
    return Signed(server.base, export, {name: answer.json() for name, answer in others.items()})


Alter = Callable[[Signed], bytes]


def swap(old: bytes, new: bytes) -> Alter:
    """Replace a text that occurs once."""
    return lambda url: url.swapped(old, new)


def value(name: bytes, change: Callable[[bytes], bytes] | bytes) -> Alter:
    """Change the value of a parameter."""

    def altered(url: Signed) -> bytes:
        old = url.value(name)
        return url.swapped(name + b"=" + old, name + b"=" + (change if isinstance(change, bytes) else change(old)))

    return altered


def without(name: bytes) -> Alter:
    """Remove a parameter."""

    def altered(url: Signed) -> bytes:
        path, _, query = url.target.partition(b"?")
        return path + b"?" + b"&".join(pair for pair in query.split(b"&") if not pair.startswith(name + b"="))

    return altered


def added(text: bytes) -> Alter:
    """Append to the query."""
    return lambda url: url.target + text


def twice(name: bytes, other: bytes | None = None) -> Alter:
    """Repeat a parameter with the same or another value."""
    return lambda url: url.target + b"&" + name + b"=" + (url.value(name) if other is None else other)


def after_path(text: bytes) -> Alter:
    """Append to the path."""
    return swap(b"?", text + b"?")


def export_id(change: Callable[[bytes], bytes]) -> Alter:
    """Change the export id in the path."""

    def altered(url: Signed) -> bytes:
        old = str(url.export["exportId"]).encode()
        return url.swapped(old, change(old))

    return altered


def of(name: str, *, workflow: bool = True, export: bool = True) -> Alter:
    """Use the ids of another existing export with this one's signature."""

    def altered(url: Signed) -> bytes:
        target, there, other = url.target, url.export, url.others[name]
        for replaced, member in ((workflow, "workflowId"), (export, "exportId")):
            if replaced:
                target = target.replace(f"/{there[member]}".encode(), f"/{other[member]}".encode())
        return target

    return altered


def signed(key: SigningKey = CURRENT, *, base: str = "{}", after: timedelta = timedelta(0)) -> Alter:
    """Sign the URL again with a key, for a base URL ({} is that of the service), with a later expiry."""

    def altered(url: Signed) -> bytes:
        signer = UrlSigner([key], base_url=base.format(url.base), max_ttl=TTL, formats=FORMATS)
        parts = urlsplit(signer.sign("people", url.export["exportId"], "csv", url.end + after))
        return f"{parts.path}?{parts.query}".encode()

    return altered


def another(character: bytes) -> bytes:
    """A different character that a signature may have."""
    return b"A" if character != b"A" else b"B"


def same_bits(sig: bytes) -> bytes:
    """Another text that decodes to the same bytes: two bits of the last of 43 characters are ignored."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return sig[:-1] + bytes([alphabet[alphabet.index(sig[-1]) ^ 1]])


def decoded(sig: bytes) -> bytes:
    """Decode a signature."""
    return base64.urlsafe_b64decode(sig + b"=")


def full_width(digits: bytes) -> bytes:
    """Return percent-encoded full-width digits."""
    return "".join(f"%EF%BC%{0x90 + digit - 48:02X}" for digit in digits).encode()


def arabic(digits: bytes) -> bytes:
    """Return percent-encoded Arabic digits."""
    return "".join(f"%D9%{0xA0 + digit - 48:02X}" for digit in digits).encode()
