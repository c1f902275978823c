"""What a process of the cluster has of its own: stores by their location, and the cancel of its running task."""

from contextvars import ContextVar
from functools import lru_cache

from engine.common.cancellation import CancelToken
from engine.runners.ray.messages import Job
from engine.settings import StorageSettings
from engine.stores import open_store
from engine.stores.port import ObjectStore

_CANCEL: ContextVar[CancelToken] = ContextVar("cancel")


def results_of(job: Job) -> ObjectStore:
    """Where the run is read. Raises InvalidInput if this node's environment has no credentials for it."""
    return _open(job.results)


def exports_of(job: Job) -> ObjectStore:
    """Where the file is staged. Raises InvalidInput if this node's environment has no credentials for it."""
    return _open(job.exports)


def cancel_token() -> CancelToken:
    """The cancel of the task that runs in this thread."""
    return _CANCEL.get()


def set_cancel_token(token: CancelToken) -> None:
    """A task begins in this thread."""
    _CANCEL.set(token)


@lru_cache(maxsize=16)
def _open(location: str) -> ObjectStore:
    # A process of the cluster serves one job after another; connections and their handshakes are worth keeping.
    storage = StorageSettings()
    return open_store(
        location,
        connection_string=storage.azure_connection_string,
        account_url=storage.azure_account_url,
        create=False,
    )
