"""The client of Azure Blob Storage: credentials, retries, connections and the translation of errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from engine.errors import (
    InvalidInput,
    ObjectArchived,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    StoreError,
    StoreUnavailable,
)
from engine.stores.azure.request_body import ChunkedBody

CONNECT_SECONDS = 3
CONTROL_READ_SECONDS = 5
BULK_READ_SECONDS = 20
"""How long a request with much data may wait for one read of the socket, which includes the upload of its body."""

_RETRIES = {"retry_total": 3, "initial_backoff": 0.2, "increment_base": 2, "random_jitter_range": 0.2}
"""Four attempts with 2.2, 4.2 and 8.2 s between them: an unreachable store is noticed within 15 to 35 s."""

_MAX_CONNECTIONS = 64
_READ_BYTES = 64 * 1024
"""The chunk size with which the SDK reads the body of a response."""
_MAX_SINGLE_READ_BYTES = 2**50
"""More than any blob: by default the SDK makes one request for every 32 MiB."""
_CONFLICTS = ("BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "BlobOverwritten")
_REFUSED = {
    "InvalidBlockList": "A block of the upload is missing.",
    "CannotVerifyCopySource": "Azure cannot read the object that is to be copied.",
    "SourceConditionNotMet": "The object that is to be copied has changed.",
}
_ARCHIVED = ("BlobArchived", "BlobBeingRehydrated")
_SECRETS = re.compile(r"\?[^\s'\"<>()]+|(?<=AccountKey=)[^;\s]+|(?<=sig=)[^&\s]+", re.IGNORECASE)


class AzureFailure(Exception):
    """The SDK's error for operators, without query strings and keys, which may be secrets."""


def open_service(connection_string: str | None, account_url: str | None) -> BlobServiceClient:
    """A client with bounded retries; makes no request.

    Raises InvalidInput unless exactly one of connection string and account URL is given and it is well formed.
    """
    if bool(connection_string) == bool(account_url):
        raise InvalidInput(
            "Azure storage needs a connection string or an account URL.",
            remedy="Set exactly one of AZURE_STORAGE_CONNECTION_STRING and AZURE_STORAGE_ACCOUNT_URL.",
        )
    transport = _transport()
    options: dict[str, Any] = {**_RETRIES, "transport": transport, "max_single_get_size": _MAX_SINGLE_READ_BYTES}
    url = account_url or ""
    try:
        if connection_string:
            service = BlobServiceClient.from_connection_string(connection_string, **options)
        else:
            # A URL with a query has a shared access signature, and the SDK refuses a second credential.
            service = BlobServiceClient(url, credential=None if "?" in url else _default_credential(), **options)
        _read_environment(transport, service.url)
        return service
    except ValueError as error:
        # From None: the SDK's message may quote the secret.
        raise InvalidInput(
            "The Azure connection string or account URL is malformed.",
            remedy="Copy it from the storage account's page; an account URL begins with https.",
            reason=type(error).__name__,
        ) from None


@contextmanager
def raising_store_errors(*, creating: bool = False) -> Iterator[None]:
    """Raise the port's errors for those of the SDK within the block.

    ``creating``: the request requires that the object does not exist, so a conflict means that it does, and "not found"
    means the container.
    """
    try:
        yield
    except AzureError as error:
        raise _translate(error, creating) from AzureFailure(_SECRETS.sub("?...", f"{type(error).__name__}: {error}"))


def error_code(error: AzureError) -> str:
    """The error code of the service's response, or ``""``; the SDK has it as a string or an enumeration."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _translate(error: AzureError, creating: bool) -> StoreError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    code = error_code(error)
    if status in (409, 412) and code in _CONFLICTS:
        if creating:
            return ObjectExists("The object exists already.")
        return ObjectChanged("The object has changed.")
    if status == 404 and not creating:
        return ObjectMissing("The object does not exist.")
    if status == 404 and code not in _REFUSED:
        return StoreUnavailable("The Azure container is missing: create it, or run `tailrace init`.")
    if code in _ARCHIVED:
        return ObjectArchived("The object is in the store's archive tier and cannot be read.")
    if code in _REFUSED:
        return StoreError(_REFUSED[code])
    if status in (401, 403) or isinstance(error, ClientAuthenticationError):
        return StoreUnavailable(f"Azure refused the credential ({code or 'no usable credential was found'}).")
    if status is None:
        return StoreUnavailable("Azure cannot be reached: check the network and the endpoint.")
    if status == 429 or status >= 500:
        return StoreUnavailable(f"Azure is temporarily unavailable ({status} {code}).")
    return StoreError(f"Azure responded with {status} {code}.")


class _Adapter(HTTPAdapter):
    """Pools a connection for every concurrent block, sends bodies in chunks, and reads error responses to the end."""

    def __init__(self) -> None:
        no_retries = Retry(total=False, redirect=False, raise_on_status=False)
        super().__init__(pool_maxsize=_MAX_CONNECTIONS, max_retries=no_retries)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if isinstance(request.body, bytes):
            body: Any = ChunkedBody(request.body)
            request.body = body
        response = super().send(request, *args, **options)
        if not response.ok:
            # The SDK does not read the error response of a download, and so does not release its connection.
            try:
                _ = response.content
            except requests.RequestException:
                response.close()
        return response


def _transport() -> RequestsTransport:
    session = requests.Session()
    session.mount("https://", _Adapter())
    session.mount("http://", _Adapter())
    return RequestsTransport(
        session=session,
        session_owner=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=CONTROL_READ_SECONDS,
        connection_data_block_size=_READ_BYTES,
    )


def _read_environment(transport: RequestsTransport, url: str) -> None:
    """Take the proxies and the certificates that the environment names for a URL.

    By itself the session reads all variables again for each request, which costs more the more there are. It would also
    replace our signature by a password of ``.netrc`` that is for the host, or for all hosts.
    """
    session = transport.session
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.trust_env = False
    session.proxies.update(found["proxies"])
    if found["verify"] is not None:
        # Each request names the setting of the transport, which precedes that of its session.
        transport.connection_config.verify = found["verify"]


def _default_credential() -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise InvalidInput(
            "An account URL without a signature needs the package azure-identity.",
            remedy="pip install tailrace[azure]",
        ) from error
    return DefaultAzureCredential()
