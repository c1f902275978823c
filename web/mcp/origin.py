"""Which web pages may call ``/mcp``.

The protocol asks servers to check ``Origin``, so that a web page cannot use a service that only its visitor can reach
(Model Context Protocol, "Transports", security warning). Clients that are no browsers send no ``Origin``.
"""

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit


def allows_origin(headers: Iterable[tuple[bytes, bytes]], base_url: str) -> bool:
    """Whether a request may be answered: it has no ``Origin``, that of the base URL, or that of its own ``Host``.

    ``Host`` counts only where it is an address or ``localhost``. A domain name in it proves nothing: by changing what
    the name resolves to, its owner can point it at this service (DNS rebinding).
    """
    found = [(name.lower(), value.decode("latin-1")) for name, value in headers]
    origins = [value for name, value in found if name == b"origin"]
    if not origins:
        return True
    if len(origins) > 1:
        return False
    origin = origins[0].lower()
    if origin == _origin_of(base_url):
        return True
    hosts = [value.lower() for name, value in found if name == b"host"]
    # A proxy may have ended TLS, so the scheme of the request is not known here.
    return len(hosts) == 1 and origin in (f"http://{hosts[0]}", f"https://{hosts[0]}") and _is_address(origin)


def _origin_of(base_url: str) -> str:
    """The origin as browsers send it: without the scheme's default port."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, {"http": 80, "https": 443}[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _is_address(origin: str) -> bool:
    with suppress(ValueError):
        host = urlsplit(origin).hostname or ""
        if host == "localhost":
            return True
        ip_address(host)
        return True
    return False
