"""A file of API keys: one JSON object a line with hash, id, team and times; read again whenever it changes.

The last line of an id counts, so keys are made and revoked by appending lines, which several people can do at once.
"""

import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from engine.common.ids import ID
from engine.common.private_files import FILE_MODE, make_folders
from engine.stores.local.durable_files import write_all
from web.auth.api_keys import DUMMY
from web.auth.principal import Principal
from web.telemetry.logs import LOG

_KEY = re.compile(rb"tr_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_POLL_INTERVAL_SECONDS = 1.0


class StoredKey(BaseModel):
    """One line of the file; it has the hash of the key, not the key."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    team: str = Field(pattern=f"^{ID.pattern}$")
    publish: bool | None = None
    """Whether the key may also publish and delete; omitted from keys that may only read."""
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def state(self, now: datetime) -> str:
        """``good``, ``expired`` or ``revoked``; a revoked key stays revoked."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "good"


class KeyFile:
    """The keys of a file, looked up by their id. Thread-safe.

    A change takes effect within a second, without a restart. When the file becomes unreadable, the error is logged and
    the last keys stay valid, so that a mistake while editing locks nobody out. The constructor raises OSError or
    ValueError if the file cannot be read.
    """

    waits = True

    def __init__(self, path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._clock = clock
        self._lock = Lock()
        self._checked_at = time.monotonic()
        self._version = _version(path)
        self._keys = read_key_file(path)

    @property
    def teams(self) -> list[str]:
        """The team of each key that is neither expired nor revoked."""
        now = self._clock()
        return [key.team for key in self._current().values() if key.state(now) == "good"]

    def find(self, presented: bytes) -> Principal | None:
        """Return the owner of a key, or None. A hash is compared even if the id is unknown, to take the same time."""
        shape = _KEY.fullmatch(presented)
        if shape is None:
            return None
        stored = self._current().get(shape.group(1).decode())
        known = DUMMY if stored is None else bytes.fromhex(stored.sha256)
        if not hmac.compare_digest(hashlib.sha256(presented).digest(), known) or stored is None:
            return None
        if stored.state(self._clock()) != "good":
            return None
        return Principal(stored.team, "key", stored.id, may_publish=bool(stored.publish))

    def _current(self) -> Mapping[str, StoredKey]:
        with self._lock:
            now = time.monotonic()
            if now - self._checked_at >= _POLL_INTERVAL_SECONDS:
                self._checked_at = now
                self._reload()
            return self._keys

    def _reload(self) -> None:
        try:
            version = _version(self._path)
            if version != self._version:
                # Set before reading, so that an unreadable version is logged once.
                self._version = version
                self._keys = read_key_file(self._path)
        except (OSError, ValueError) as error:
            LOG.error("api_keys_unreadable", extra={"fields": {"reason": str(error)}})


def read_key_file(path: Path) -> dict[str, StoredKey]:
    """Return the keys by id, in file order. Raises OSError, or ValueError that names the line but quotes no hash."""
    keys: dict[str, StoredKey] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            key = StoredKey.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise ValueError(f"line {number} of {path.name}: {where}: {first['msg']}") from None
        keys[key.id] = key
    return keys


def append_key(path: Path, key: StoredKey) -> None:
    """Append a key in one write; a new file is readable by its owner only. Raises OSError."""
    make_folders(path.parent)
    line = key.model_dump_json(by_alias=True, exclude_none=True) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE)
    try:
        # An editor may have left the last line without a newline.
        end = os.fstat(descriptor).st_size
        is_unterminated = end and os.pread(descriptor, 1, end - 1) != b"\n"
        write_all(descriptor, ("\n" * bool(is_unterminated) + line).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size
