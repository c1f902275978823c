"""The way to Azure Blob: credentials, retries, connections, and its errors told as the store's."""

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
from engine.stores.azure.request_body import Pieces

CONNECT_SECONDS = 3
CONTROL_READ_SECONDS = 5
BULK_READ_SECONDS = 20
"""How long a request that moves much data may wait for one read of the socket, that is until the service has it all."""

_RETRIES = {"retry_total": 3, "initial_backoff": 0.2, "increment_base": 2, "random_jitter_range": 0.2}
"""Four attempts with 2.2, 4.2 and 8.2 s between: a dead store is known within 15 to 35 s."""

_CONNECTIONS = 64
READ_BYTES = 64 * 1024
"""Pieces of a body. Each is one hop between threads in a download, which holds one as long as the client takes."""
_LONGEST_BODY_BYTES = 2**50
"""Above any blob: left to itself, the SDK makes a request for every 32 MiB."""
_TAKEN = ("BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "BlobOverwritten")
_ARCHIVED = ("BlobArchived", "BlobBeingRehydrated")
_SECRETS = re.compile(r"\?[^\s'\"<>()]+|(?<=AccountKey=)[^;\s]+|(?<=sig=)[^&\s]+", re.IGNORECASE)


class AzureFailure(Exception):
    """What Azure or the way to it said, for operators: without queries and keys, which may be signatures."""


def open_service(connection_string: str | None, account_url: str | None) -> BlobServiceClient:
    """A client with bounded retries. Raises InvalidInput unless exactly one way in is given, and well formed."""
    if bool(connection_string) == bool(account_url):
        raise InvalidInput(
            "Azure storage needs either a connection string or an account URL.",
            remedy="Set exactly one of the two.",
        )
    options: dict[str, Any] = {
        **_RETRIES,
        "transport": _transport(),
        "max_single_get_size": _LONGEST_BODY_BYTES,
    }
    try:
        if connection_string:
            return BlobServiceClient.from_connection_string(connection_string, **options)
        url = account_url or ""
        # A URL with a query carries a shared access signature, and no further credential may come with it.
        return BlobServiceClient(url, credential=None if "?" in url else _default_credential(), **options)
    except ValueError as error:
        # From None: the SDK's message may quote what was given.
        raise InvalidInput(
            "The Azure connection string or account URL cannot be used.",
            remedy="Copy it from the storage account's page; an account URL begins with https.",
            reason=type(error).__name__,
        ) from None


@contextmanager
def raising_store_errors(*, creating: bool = False) -> Iterator[None]:
    """Turn errors of the SDK into the store's, here and nowhere else.

    ``creating`` says that the request wants no object of the name to be there, and cannot miss one.
    """
    try:
        yield
    except AzureError as error:
        raise _translate(error, creating) from AzureFailure(_SECRETS.sub("?...", f"{type(error).__name__}: {error}"))


def code_of(error: AzureError) -> str:
    """The service's own word for what happened, ``""`` if it said none: text or enumeration, as the SDK likes."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _translate(error: AzureError, creating: bool) -> StoreError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    code = code_of(error)
    if status in (409, 412) and code in _TAKEN:
        if creating:
            return ObjectExists("An object of that name is there already.")
        return ObjectChanged("The object was changed by someone else.")
    if status == 404 and not creating:
        return ObjectMissing("The object is not there.")
    if status == 404:
        return StoreUnavailable("The Azure container is missing: create it, or run `tailrace init`.")
    if code in _ARCHIVED:
        return ObjectArchived("The object is in the store's archive tier and cannot be read.")
    if code == "InvalidBlockList":
        return StoreError("A block of the upload is gone.")
    if status in (401, 403) or isinstance(error, ClientAuthenticationError):
        return StoreUnavailable(f"Azure refused the credential ({code or 'none was found that works'}).")
    if status is None:
        return StoreUnavailable("Azure could not be reached: check the network and the endpoint.")
    if status == 429 or status >= 500:
        return StoreUnavailable(f"Azure is not available for now ({status} {code}).")
    return StoreError(f"Azure answered {status} {code}.")


class _Adapter(HTTPAdapter):
    """Keeps a connection for every block on its way, sends large bodies in pieces, and reads refusals to their end."""

    def __init__(self) -> None:
        no_retries = Retry(total=False, redirect=False, raise_on_status=False)
        super().__init__(pool_maxsize=_CONNECTIONS, max_retries=no_retries)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if isinstance(request.body, bytes):
            pieces: Any = Pieces(request.body)
            request.body = pieces
        answer = super().send(request, *args, **options)
        if not answer.ok:
            # The SDK leaves the refusal of a download unread, and with it the connection until it is collected.
            try:
                _ = answer.content
            except requests.RequestException:
                answer.close()
        return answer


def _transport() -> RequestsTransport:
    session = requests.Session()
    session.mount("https://", _Adapter())
    session.mount("http://", _Adapter())
    return RequestsTransport(
        session=session,
        session_owner=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=CONTROL_READ_SECONDS,
        connection_data_block_size=READ_BYTES,
    )


def _default_credential() -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise InvalidInput(
            "An account URL without a signature needs the package azure-identity.",
            remedy="pip install tailrace[azure]",
        ) from error
    return DefaultAzureCredential()
