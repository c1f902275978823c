"""What `TAILRACE_TRUSTED_PROXIES` may be."""

import pytest
from pydantic import ValidationError

from web.settings import ServerSettings


def test_addresses_and_networks_are_taken() -> None:
    settings = ServerSettings(trusted_proxies=" 10.0.0.0/8,192.0.2.7 ,2001:db8::/32, ::1,")
    assert settings.proxies == ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"]
    assert ServerSettings().proxies == []


@pytest.mark.parametrize(
    "text", ["*", "nginx", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "127.0.0.1:80", "[::1]"]
)
def test_anything_else_is_refused(text: str) -> None:
    """uvicorn would take the star for everybody, and never match the others."""
    with pytest.raises(ValidationError, match="give addresses and networks"):
        ServerSettings(trusted_proxies=f"127.0.0.1,{text}")
