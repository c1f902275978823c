"""Shared access signatures (SAS): URLs with which a client reads one blob directly from Azure.

They are signed with the account key of a connection string, or with a user delegation key for the identity of an
account URL. An account URL that is itself a SAS cannot sign.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from azure.storage.blob import BlobClient, BlobSasPermissions, BlobServiceClient, UserDelegationKey, generate_blob_sas

from engine.stores.azure.client import raising_store_errors
from engine.stores.port import ReadHeaders

DELEGATION_KEY_LIFETIME = timedelta(hours=1)
"""Azure allows seven days; a shorter lifetime limits how long a revoked permission still works."""

_KEY_MARGIN = timedelta(minutes=5)
_CLOCK_SKEW = timedelta(minutes=15)

SigningKey = Callable[[datetime], Mapping[str, Any]]
"""Returns the SDK's option with a key that is valid beyond the given expiry."""


def azure_read_urls(service: BlobServiceClient, blob_of: Callable[[str], BlobClient]) -> "AzureReadUrls | None":
    """The maker of URLs for that client's credential, or None if it cannot sign; makes no request."""
    account, credential = service.account_name, service.credential
    if not account:
        return None
    secret = getattr(credential, "account_key", None)
    if secret:
        return AzureReadUrls(account, blob_of, lambda _: {"account_key": secret})
    if hasattr(credential, "get_token"):
        return AzureReadUrls(account, blob_of, DelegationKeys(service).option)
    return None


class AzureReadUrls:
    """Makes read-only URLs, each for one blob."""

    def __init__(self, account: str, blob_of: Callable[[str], BlobClient], signing_key: SigningKey) -> None:
        self._account = account
        self._blob_of = blob_of
        self._signing_key = signing_key

    def read_url(self, key: str, *, expires: datetime, headers: ReadHeaders | None = None) -> str:
        """The blob's URL with a signature, without ``headers`` for the stored ones.

        It allows only https, unless the account uses http, as the emulator does.
        """
        blob = self._blob_of(key)
        signature = generate_blob_sas(
            self._account,
            blob.container_name,
            blob.blob_name,
            permission=BlobSasPermissions(read=True),
            expiry=expires.astimezone(UTC),
            protocol="https" if blob.scheme == "https" else "https,http",
            **({} if headers is None else asdict(headers)),
            **self._signing_key(expires),
        )
        return f"{blob.url}?{signature}"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DelegationKeys:
    """The user delegation key, which is requested at most once an hour and shared by all URLs."""

    def __init__(self, service: BlobServiceClient, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._service = service
        self._clock = clock
        self._mutex = Lock()
        self._key: UserDelegationKey | None = None
        self._valid_until = datetime.min.replace(tzinfo=UTC)

    def option(self, expires: datetime) -> Mapping[str, Any]:
        """A key that is valid beyond ``expires``. Raises StoreUnavailable if Azure grants none.

        One thread requests it while the others wait.
        """
        with self._mutex:
            if self._key is None or expires + _KEY_MARGIN > self._valid_until:
                now = self._clock()
                until = max(now + DELEGATION_KEY_LIFETIME, expires + 2 * _KEY_MARGIN)
                with raising_store_errors():
                    # Valid from a time in the past, since Azure's clock may be behind.
                    self._key = self._service.get_user_delegation_key(now - _CLOCK_SKEW, until)
                self._valid_until = until
            return {"user_delegation_key": self._key}
