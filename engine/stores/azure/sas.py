"""URLs that read one blob straight from Azure: shared access signatures, narrow and short.

Signed with the account key of a connection string, or with a key that Azure lends to the identity behind an account URL
(a user-delegation key). An account URL that is a shared access signature itself can sign nothing.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from azure.storage.blob import BlobClient, BlobSasPermissions, BlobServiceClient, UserDelegationKey, generate_blob_sas

from engine.stores.azure.client import raising_store_errors
from engine.stores.port import ReadHeaders, ReadUrls

KEY_LIFE = timedelta(hours=1)
"""How long a lent key is good; Azure allows seven days, but a right that is withdrawn should end sooner."""

_KEY_MARGIN = timedelta(minutes=5)
_CLOCK_SKEW = timedelta(minutes=15)

SigningKey = Callable[[datetime], Mapping[str, Any]]
"""From an expiry to the SDK's option that holds a key which is good beyond it."""


def azure_read_urls(service: BlobServiceClient, blob_of: Callable[[str], BlobClient]) -> ReadUrls | None:
    """URLs by the credential of that client, or None if it cannot sign any; nothing is reached yet."""
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
    """Read-only signatures, each for one blob."""

    def __init__(self, account: str, blob_of: Callable[[str], BlobClient], signing_key: SigningKey) -> None:
        self._account = account
        self._blob_of = blob_of
        self._signing_key = signing_key

    def read_url(self, key: str, *, expires: datetime, headers: ReadHeaders) -> str:
        """The blob's own URL with a signature; by https alone, unless the account itself speaks http (the emulator)."""
        blob = self._blob_of(key)
        signature = generate_blob_sas(
            self._account,
            blob.container_name,
            blob.blob_name,
            permission=BlobSasPermissions(read=True),
            expiry=expires.astimezone(UTC),
            protocol="https" if blob.scheme == "https" else "https,http",
            content_type=headers.content_type,
            content_disposition=headers.content_disposition,
            cache_control=headers.cache_control,
            **self._signing_key(expires),
        )
        return f"{blob.url}?{signature}"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DelegationKeys:
    """The key that Azure lends to this identity: asked for once an hour, whatever the number of URLs."""

    def __init__(self, service: BlobServiceClient, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._service = service
        self._clock = clock
        self._mutex = Lock()
        self._key: UserDelegationKey | None = None
        self._good_until = datetime.min.replace(tzinfo=UTC)

    def option(self, expires: datetime) -> Mapping[str, Any]:
        """A key that is good beyond ``expires``. Raises StoreUnavailable if Azure lends none.

        One thread asks, the others wait for its answer.
        """
        with self._mutex:
            if self._key is None or expires + _KEY_MARGIN > self._good_until:
                now = self._clock()
                until = max(now + KEY_LIFE, expires + 2 * _KEY_MARGIN)
                with raising_store_errors():
                    # From before now, since the clocks of Azure may be behind ours.
                    self._key = self._service.get_user_delegation_key(now - _CLOCK_SKEW, until)
                self._good_until = until
            return {"user_delegation_key": self._key}
