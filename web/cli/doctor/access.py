"""Checks of authentication, URL signing and the base URL."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from web.auth.api_keys import parse_api_keys
from web.auth.jwks import JwksClient
from web.auth.jwt import JwtVerifier
from web.auth.key_file import read_key_file
from web.cli.doctor.findings import Finding, note, ok, problem
from web.cli.sign import open_signer
from web.cli.terminal.progress_bar import counted
from web.settings import AuthSettings, MissingSetting, ServerSettings, SigningSettings
from web.telemetry.logs import LOG

_MIN_KEY_LENGTH = 16
_HASHED = re.compile(r"sha256:[0-9a-f]{64}")
_NEW_KEY_REMEDY = "`tailrace keys new` makes one"
_TIMEOUT_SECONDS = 3


def check_auth(auth: AuthSettings) -> Iterator[Finding]:
    """Check API keys and tokens."""
    if not auth.configured:
        yield problem(
            "keys",
            "no authentication is configured, so the service will not start",
            "set TAILRACE_API_KEYS (key=team; `tailrace keys new` makes one), TAILRACE_API_KEYS_FILE, "
            "TAILRACE_JWT_SECRET or TAILRACE_JWKS_URL",
        )
    if auth.api_keys:
        yield from _api_keys(auth.api_keys)
    if auth.api_keys_file is not None:
        yield _key_file(auth.api_keys_file)
    if auth.jwt_secret or auth.jwks_url:
        yield from _tokens(auth)


def _api_keys(text: str) -> Iterator[Finding]:
    try:
        count = len(parse_api_keys(text).teams)
    except ValueError as error:
        yield problem("keys", f"TAILRACE_API_KEYS cannot be read: {error}", f"correct it; {_NEW_KEY_REMEDY}")
        return
    entries = [part.strip().rpartition("=")[0] for part in text.split(",") if part.strip()]
    plain = [key for key in entries if not _HASHED.fullmatch(key)]
    short = [position for position, key in enumerate(entries, start=1) if key in plain and len(key) < _MIN_KEY_LENGTH]
    if short:
        positions = ", ".join(map(str, short))
        yield problem(
            "keys",
            f"the key of entry {positions} is shorter than {_MIN_KEY_LENGTH} characters and can be guessed",
            _NEW_KEY_REMEDY,
        )
    elif plain:
        yield note(
            "keys",
            f"{counted(count, 'API key')}, {len(plain)} in plain text",
            "use TAILRACE_API_KEYS_FILE, which has hashes, so that leaked settings do not reveal keys",
        )
    else:
        yield ok("keys", f"{counted(count, 'API key')}, all hashed")


def _key_file(path: Path) -> Finding:
    try:
        found = read_key_file(path)
    except (OSError, ValueError) as error:
        return problem("keys", f"TAILRACE_API_KEYS_FILE cannot be read: {error}", f"correct it; {_NEW_KEY_REMEDY}")
    if path.stat().st_mode & 0o022:
        return problem("keys", f"{path.name} is writable by other users, who could add keys", "chmod 600")
    states = Counter(key.state(datetime.now(UTC)) for key in found.values())
    return ok(
        "keys", f"{path.name}: " + (", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "none yet")
    )


def _tokens(auth: AuthSettings) -> Iterator[Finding]:
    if auth.unbound is not None:
        yield problem(
            "tokens", auth.unbound, "set both to the values in the tokens that the issuer makes for this service"
        )
        return
    try:
        jwks = JwksClient(auth.jwks_url) if auth.jwks_url else None
        JwtVerifier(secret=auth.jwt_secret, jwks=jwks, audience=auth.jwt_audience, issuer=auth.jwt_issuer)
    except ValueError as error:
        yield problem(
            "tokens", f"TAILRACE_JWT_SECRET or TAILRACE_JWKS_URL: {error}", "use a secret of at least 32 random bytes"
        )
        return
    if jwks is not None:
        # The finding reports the error, so the log need not.
        LOG.addHandler(logging.NullHandler())
        LOG.propagate = False
        if jwks.keys_for(None) is None:
            yield problem(
                "tokens", "TAILRACE_JWKS_URL returns no usable keys", "check the URL, and that the issuer is reachable"
            )
            return
    if auth.jwt_audience is None:
        yield note(
            "tokens",
            "accepted for every audience",
            "set TAILRACE_JWT_AUDIENCE if other services use the same secret or issuer",
        )
    else:
        yield ok("tokens", "accepted")


def check_signing(signing: SigningSettings, server: ServerSettings) -> Finding:
    """Check that there are signing keys, and that they are long enough."""
    try:
        open_signer(signing, server)
    except MissingSetting as error:
        return problem("signing", str(error).rstrip("."), "`tailrace keys signing` makes one")
    count = len(list(filter(str.strip, signing.signing_keys.split(","))))
    return ok("signing", f"{counted(count, 'key')}; URLs are valid for {counted(signing.url_ttl_seconds, 'second')}")


def check_base_url(server: ServerSettings) -> Iterator[Finding]:
    """Check that callers can open URLs of the service."""
    base, remedy = server.public_url, "set TAILRACE_BASE_URL to the address that callers use"
    parts = urlsplit(base)
    kind = _kind_of(parts.hostname or "")
    if kind == "unspecified":
        yield problem("base url", f"{base} is an address to listen on, which callers cannot open", remedy)
        return
    if kind == "loopback":
        yield note("base url", f"{base} can be opened only on this machine", remedy)
    elif parts.scheme == "http":
        yield note("base url", f"{base} is not encrypted", "put a TLS proxy in front, and set its https address")
    else:
        yield ok("base url", base)
    if _answers(base):
        yield ok("service", f"{base}/healthz responds")
    else:
        yield note("service", f"{base}/healthz does not respond", "expected if `tailrace serve` is not running")


def _kind_of(host: str) -> str:
    with suppress(ValueError):
        address = ip_address(host)
        return "unspecified" if address.is_unspecified else "loopback" if address.is_loopback else ""
    return "loopback" if host == "localhost" else ""


def _answers(base: str) -> bool:
    try:
        with urlopen(f"{base}/healthz", timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # the pattern of the setting is http
            return bool(answer.status == 200)
    except (OSError, HTTPException, ValueError):
        return False
