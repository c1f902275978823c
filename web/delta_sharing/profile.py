"""Profile files, by which clients of Delta Sharing know a server and the token for it."""

import json
from datetime import datetime
from pathlib import Path

from engine.common.private_files import open_private
from web.api.models import rfc3339
from web.delta_sharing.routes import PREFIX


def encode_profile(base_url: str, token: str, expires_at: datetime | None) -> bytes:
    """The content of a profile for the service at ``base_url``. Without ``expires_at`` the token never expires."""
    profile = {"shareCredentialsVersion": 1, "endpoint": f"{base_url}{PREFIX}/", "bearerToken": token}
    if expires_at is not None:
        profile["expirationTime"] = rfc3339(expires_at)
    return json.dumps(profile, indent=2).encode() + b"\n"


def write_profile(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read. Raises FileExistsError or OSError."""
    with open_private(path, "xb") as file:
        file.write(content)
