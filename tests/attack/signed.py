"""A signed URL as it goes over the wire, and the ways to alter it."""

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
"""What the service has; the second signs."""
RETIRED = SigningKey("k0", b"0" * 40)
"""What it had once."""
SIGNING_KEYS = ",".join(f"{key.kid}={key.secret.decode()}" for key in (CURRENT, PREVIOUS))
"""Its setting."""
TTL = timedelta(hours=2)


@dataclass(frozen=True)
class Signed:
    """The URL of one export; ``others`` are exports that are there as well, by name."""

    base: str
    export: Mapping[str, Any]
    others: Mapping[str, Mapping[str, Any]]

    @property
    def target(self) -> bytes:
        """What a request names: the path and the query."""
        parts = urlsplit(self.export["url"])
        return f"{parts.path}?{parts.query}".encode()

    @property
    def end(self) -> datetime:
        """When it is over."""
        return datetime.fromisoformat(self.export["expiresAt"])

    def value(self, name: bytes) -> bytes:
        """The value of a parameter."""
        return dict(pair.split(b"=") for pair in self.target.partition(b"?")[2].split(b"&"))[name]

    def swapped(self, old: bytes, new: bytes) -> bytes:
        """The target with one text in place of another, which it has once."""
        assert self.target.count(old) == 1, old
        return self.target.replace(old, new)


def give_out(server: Server) -> Signed:
    """The URL of an export of the workflow people, which is there, and other exports beside it."""
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
    """One text in place of another."""
    return lambda url: url.swapped(old, new)


def value(name: bytes, change: Callable[[bytes], bytes] | bytes) -> Alter:
    """Another value of a parameter."""

    def altered(url: Signed) -> bytes:
        old = url.value(name)
        return url.swapped(name + b"=" + old, name + b"=" + (change if isinstance(change, bytes) else change(old)))

    return altered


def without(name: bytes) -> Alter:
    """One parameter less."""

    def altered(url: Signed) -> bytes:
        path, _, query = url.target.partition(b"?")
        return path + b"?" + b"&".join(pair for pair in query.split(b"&") if not pair.startswith(name + b"="))

    return altered


def added(text: bytes) -> Alter:
    """Something behind the query."""
    return lambda url: url.target + text


def twice(name: bytes, other: bytes | None = None) -> Alter:
    """A parameter once more, with the same value or another."""
    return lambda url: url.target + b"&" + name + b"=" + (url.value(name) if other is None else other)


def behind_path(text: bytes) -> Alter:
    """Something behind the path."""
    return swap(b"?", text + b"?")


def export_id(change: Callable[[bytes], bytes]) -> Alter:
    """Another spelling of the export's id."""

    def altered(url: Signed) -> bytes:
        old = str(url.export["exportId"]).encode()
        return url.swapped(old, change(old))

    return altered


def of(name: str, *, workflow: bool = True, export: bool = True) -> Alter:
    """The ids of another export that is there, under this one's signature."""

    def altered(url: Signed) -> bytes:
        target, there, other = url.target, url.export, url.others[name]
        for replaced, member in ((workflow, "workflowId"), (export, "exportId")):
            if replaced:
                target = target.replace(f"/{there[member]}".encode(), f"/{other[member]}".encode())
        return target

    return altered


def signed(key: SigningKey = CURRENT, *, base: str = "{}", after: timedelta = timedelta(0)) -> Alter:
    """The same signed anew: by a key, for a public address ({} is that of the service), beyond its end by some time."""

    def altered(url: Signed) -> bytes:
        signer = UrlSigner([key], base_url=base.format(url.base), max_ttl=TTL, formats=FORMATS)
        parts = urlsplit(signer.sign("people", url.export["exportId"], "csv", url.end + after))
        return f"{parts.path}?{parts.query}".encode()

    return altered


def another(character: bytes) -> bytes:
    """Some other character of a signature."""
    return b"A" if character != b"A" else b"B"


def same_bits(sig: bytes) -> bytes:
    """Another text of the same bytes: the last of 43 characters carries two bits that count for nothing."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return sig[:-1] + bytes([alphabet[alphabet.index(sig[-1]) ^ 1]])


def decoded(sig: bytes) -> bytes:
    """The bytes of a signature."""
    return base64.urlsafe_b64decode(sig + b"=")


def full_width(digits: bytes) -> bytes:
    """The digits of another script, percent-encoded."""
    return "".join(f"%EF%BC%{0x90 + digit - 48:02X}" for digit in digits).encode()
