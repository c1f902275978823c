"""The exceptions that the engine raises.

EngineError
├── InvalidRequest      a parameter of the request is invalid           (parameter, entry, remedy)
│   ├── InvalidFilter
│   └── InvalidStatement
├── NotFound            no such workflow, run or export for this team
├── InvalidInput        a publisher's files or options are refused      (reason, remedy)
├── Conflict            an id is taken, or a concurrent change won
│   └── AlreadyPublished    the run id is taken
├── LimitExceeded       memory, spill space or time ran out
├── QuotaExceeded       the team's finished exports fill its quota
├── Cancelled           the work was stopped on request
├── SourceDamaged       a part of a run differs from its manifest
│   └── DocumentDamaged a stored document cannot be read                (key, reason)
├── ClockSkew           the clocks of this machine and of a store differ (seconds)
├── ClusterUnavailable  the cluster cannot be reached, or a task failed after its retries
└── StoreError          an object store failed or refused
    ├── ObjectMissing
    ├── ObjectExists
    ├── ObjectChanged
    └── StoreUnavailable
        ├── ObjectUnreadable
        │   └── ObjectArchived
        └── StoreNotInitialised

Each has a ``code`` from a closed list and a message for the caller, which contains no path, SQL text, storage key or
traceback. Details for operators are in ``__cause__``.
"""

from collections.abc import Mapping
from typing import ClassVar

_MAX_EXCERPT_LENGTH = 100


def quoted_excerpt(given: object) -> str:
    """The caller's value for an error message: quoted, and cut to 100 characters."""
    return repr(given[:_MAX_EXCERPT_LENGTH]) if isinstance(given, str) else repr(given)[:_MAX_EXCERPT_LENGTH]


class EngineError(Exception):
    """Base class of the engine's exceptions. ``details`` are JSON values for the caller."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class InvalidRequest(EngineError):
    """A parameter of a request is invalid; ``details["parameter"]`` names it."""

    code = "invalid_parameter"

    def __init__(self, message: str, *, parameter: str, **details: object) -> None:
        super().__init__(message, parameter=parameter, **details)
        self.parameter = parameter


class InvalidFilter(InvalidRequest):
    """An entry of ``filters`` is invalid; ``details["entry"]`` names it, as in ``filters[2]``."""

    code = "invalid_filter"


class InvalidStatement(InvalidRequest):
    """A caller's SQL is not a single statement that reads the run, uses a function that is not allowed, or has other
    parameters than ``params``; then ``details["entry"]`` names one, as in ``params.city``.
    """

    code = "invalid_sql"

    def __init__(self, message: str, *, parameter: str = "sql", **details: object) -> None:
        super().__init__(message, parameter=parameter, **details)


class NotFound(EngineError):
    """The workflow, run or export does not exist or belongs to another team; the message does not say which."""

    code = "not_found"


class InvalidInput(EngineError):
    """A publisher's files, schema or options are refused; nothing becomes visible."""

    code = "invalid_input"


class Conflict(EngineError):
    """An id is taken, or a concurrent change won."""

    code = "conflict"


class AlreadyPublished(Conflict):
    """The team has published a run of that id; runs never change."""


class LimitExceeded(EngineError):
    """An export needed more memory, spill space or time than its limit; no part of it is visible."""

    code = "limit_exceeded"


class Cancelled(EngineError):
    """The work was stopped on request; no part of it is visible."""

    code = "cancelled"


class QuotaExceeded(EngineError):
    """The team's finished exports and the new one exceed its quota."""

    code: ClassVar[str] = "quota_exceeded"


class SourceDamaged(EngineError):
    """A part of a run is missing or differs from the run's manifest."""

    code = "source_damaged"


class DocumentDamaged(SourceDamaged):
    """The stored document at ``key`` cannot be read, for the given ``reason``."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key} cannot be read: {reason}.")
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple[type["DocumentDamaged"], tuple[str, str]]:
        """Pickle by the arguments: errors travel between processes."""
        return type(self), (self.key, self.reason)


class ClusterUnavailable(EngineError):
    """The cluster cannot be reached, or a task failed after its retries; no part of the export is visible."""

    code = "cluster_unavailable"


class ClockSkew(EngineError):
    """This machine's clock and a store's differ by more than a minute; ``details["seconds"]`` is the difference."""

    code = "clock_skew"


class StoreError(EngineError):
    """An object store failed or refused a request."""

    code = "store_error"


class ObjectMissing(StoreError):
    """There is no object of that key."""


class ObjectExists(StoreError):
    """An object of that key exists; it is unchanged."""


class ObjectChanged(StoreError):
    """The object is no longer the requested version."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or refuses access, after bounded retries."""

    code = "store_unavailable"


class ObjectUnreadable(StoreUnavailable):
    """This object exists and cannot be opened; others may be readable."""


class ObjectArchived(ObjectUnreadable):
    """The object is in the store's archive tier, which cannot be read."""


class StoreNotInitialised(StoreUnavailable):
    """The store has no marker: it is new, or its volume is not mounted."""
