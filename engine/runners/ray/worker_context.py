"""The state of a worker process: stores by location, and the cancel token of the running task."""

from contextvars import ContextVar
from functools import lru_cache

from engine.common.cancellation import CancelToken
from engine.runners.ray.messages import Job
from engine.settings import StorageSettings
from engine.stores import open_store
from engine.stores.port import ObjectStore

_CANCEL: ContextVar[CancelToken] = ContextVar("cancel")


def results_of(job: Job) -> ObjectStore:
    """The store of the run. Raises InvalidInput if the environment of this node has no credentials for it."""
    return _open(job.results)


def exports_of(job: Job) -> ObjectStore:
    """The store of the export. Raises InvalidInput if the environment of this node has no credentials for it."""
    return _open(job.exports)


def cancel_token() -> CancelToken:
    """The cancel token of the task that runs in this thread."""
    return _CANCEL.get()


def set_cancel_token(token: CancelToken) -> None:
    """Set the cancel token of the task that runs in this thread."""
    _CANCEL.set(token)


@lru_cache(maxsize=16)
def _open(location: str) -> ObjectStore:
    # A worker process serves one job after another, and reuses the connections.
    storage = StorageSettings()
    return open_store(
        location,
        connection_string=storage.azure_connection_string,
        account_url=storage.azure_account_url,
        checksum=storage.azure_checksum,
        create=False,
    )
