"""URLs signed with a user delegation key, by a test double: the emulator grants such keys over https only."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, UserDelegationKey

from engine.errors import StoreUnavailable
from engine.stores.azure.sas import DELEGATION_KEY_LIFETIME, DelegationKeys
from engine.stores.azure.store import AzureStore
from tests.contract.test_azure_read_urls import HEADERS, asked, in_seconds
from tests.helpers.azurite import KEY


class KeyService:
    """A double of the service that grants delegation keys and records them."""

    def __init__(self) -> None:
        self.granted: list[tuple[datetime, datetime]] = []
        self.failing = False

    def get_user_delegation_key(self, start: datetime, expiry: datetime) -> UserDelegationKey:
        if self.failing:
            error = HttpResponseError("refused?sig=secret")
            error.status_code = 403
            raise error
        self.granted.append((start, expiry))
        key: Any = UserDelegationKey()  # type: ignore[no-untyped-call]
        key.signed_oid, key.signed_tid = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
        key.signed_start, key.signed_expiry = f"{start:%Y-%m-%dT%H:%M:%SZ}", f"{expiry:%Y-%m-%dT%H:%M:%SZ}"
        key.signed_service, key.signed_version, key.value = "b", "2025-07-05", KEY
        return cast("UserDelegationKey", key)


class Identity:
    """A credential that must not be used, since no request is made."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        raise AssertionError("the network was reached")


def test_an_identity_signs_with_a_user_delegation_key(monkeypatch: pytest.MonkeyPatch) -> None:
    service_double = KeyService()
    service = BlobServiceClient("https://acme.blob.core.windows.net", credential=Identity())
    monkeypatch.setattr(service, "get_user_delegation_key", service_double.get_user_delegation_key)
    urls = AzureStore(service, "exports", "p").read_urls()
    assert urls is not None
    expires = in_seconds(300)
    first, second = (urls.read_url(f"w/{name}.csv", expires=expires, headers=HEADERS) for name in "ab")
    given = asked(first)
    assert (given["sp"], given["sr"], given["spr"]) == ("r", "b", "https")
    assert {"skoid", "sktid", "skt", "ske", "sks", "skv", "sig", "rscd", "rsct", "rscc"} <= set(given)
    assert given["skoid"].endswith("a")
    assert given["ske"] > given["se"]
    assert (asked(second)["sig"] != given["sig"], asked(second)["ske"]) == (True, given["ske"])
    assert len(service_double.granted) == 1
    assert KEY not in first


def test_a_delegation_key_is_renewed_before_it_expires() -> None:
    service_double, now = KeyService(), datetime(2026, 11, 24, tzinfo=UTC)
    keys = DelegationKeys(cast("BlobServiceClient", service_double), clock=lambda: now)
    for minutes in (0, 10, 49, 50, 51, 60):
        now = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(minutes=minutes)
        keys.option(now + timedelta(minutes=5))
        start, end = service_double.granted[-1]
        assert start <= now < now + timedelta(minutes=10) <= end
        assert end - now <= DELEGATION_KEY_LIFETIME
    assert len(service_double.granted) == 2


def test_a_refused_delegation_key_raises_without_secrets() -> None:
    service_double = KeyService()
    service_double.failing = True
    keys = DelegationKeys(cast("BlobServiceClient", service_double))
    with pytest.raises(StoreUnavailable) as caught:
        keys.option(in_seconds(300))
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"
    service_double.failing = False
    keys.option(in_seconds(300))
