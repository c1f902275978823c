"""What can go wrong, as one closed tree.

EngineError
├── InvalidRequest      what the caller asked for cannot be read        (parameter, entry, remedy)
│   ├── InvalidFilter
│   └── InvalidStatement
├── NotFound            no such workflow, run or export for this team
├── InvalidInput        what a publisher brought is refused             (reason, remedy)
├── Conflict            the name is taken, or someone else was faster
│   └── AlreadyPublished    a run of that id is there
├── LimitExceeded       memory or spill space ran out
├── QuotaExceeded       the finished exports of the team leave no room
├── Cancelled           the caller went away or asked to stop
├── SourceDamaged       a part of a run is not what its manifest says
│   └── DocumentDamaged a stored document cannot be read                (key, reason)
├── ClusterUnavailable  the cluster that exports run on cannot be reached, or lost a task for good
└── StoreError          an object store answered something unexpected
    ├── ObjectMissing
    ├── ObjectExists
    ├── ObjectChanged
    └── StoreUnavailable
        ├── ObjectUnreadable
        │   └── ObjectArchived
        └── StoreNotInitialised

Each carries a ``code`` of a closed list and a sentence written for whoever called: no path, SQL text, key or
stack of ours is ever part of it. What is for operators only goes into ``__cause__``.
"""

from collections.abc import Mapping
from typing import ClassVar

_LONGEST_ECHO = 100


def quoted_excerpt(given: object) -> str:
    """What a caller sent, as a message repeats it: quoted, and no more of it than helps to find it."""
    return repr(given[:_LONGEST_ECHO]) if isinstance(given, str) else repr(given)[:_LONGEST_ECHO]


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class InvalidRequest(EngineError):
    """A parameter of an export request cannot be honoured; ``details["parameter"]`` names it."""

    code = "invalid_parameter"

    def __init__(self, message: str, *, parameter: str, **details: object) -> None:
        super().__init__(message, parameter=parameter, **details)
        self.parameter = parameter


class InvalidFilter(InvalidRequest):
    """An entry of ``filters`` cannot be honoured; ``details["entry"]`` is its place, as ``filters[2]``."""

    code = "invalid_filter"


class InvalidStatement(InvalidRequest):
    """A caller's SQL is not one statement that reads the run, or calls what is not allowed."""

    code = "invalid_sql"

    def __init__(self, message: str) -> None:
        super().__init__(message, parameter="sql")


class NotFound(EngineError):
    """The workflow, run or export is not there for this team; which of the three reasons is never told."""

    code = "not_found"


class InvalidInput(EngineError):
    """A publisher's files, schema or options are refused before anything becomes visible."""

    code = "invalid_input"


class Conflict(EngineError):
    """A name is taken already, or a concurrent change won."""

    code = "conflict"


class AlreadyPublished(Conflict):
    """The team has a run of that id already, and runs never change."""


class LimitExceeded(EngineError):
    """Memory or spill space ran out while an export ran; nothing of it is visible."""

    code = "limit_exceeded"


class Cancelled(EngineError):
    """The work was stopped on request; nothing of it is visible."""

    code = "cancelled"


class QuotaExceeded(EngineError):
    """The team's finished exports leave no room for another within its quota."""

    code: ClassVar[str] = "quota_exceeded"


class SourceDamaged(EngineError):
    """A part of a run is missing, or differs from what the run's manifest promises."""

    code = "source_damaged"


class DocumentDamaged(SourceDamaged):
    """A stored document cannot be read; ``key`` and ``reason`` tell operators which, and why."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key} cannot be read: {reason}.")
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple[type["DocumentDamaged"], tuple[str, str]]:
        """Errors travel between processes."""
        return type(self), (self.key, self.reason)


class ClusterUnavailable(EngineError):
    """The cluster could not be reached, or gave a task up after its retries; nothing of the export is visible."""

    code = "cluster_unavailable"


class StoreError(EngineError):
    """An object store failed in a way that no caller can mend."""

    code = "store_error"


class ObjectMissing(StoreError):
    """No object of that key."""


class ObjectExists(StoreError):
    """An object of that key is there already and was left as it is."""


class ObjectChanged(StoreError):
    """The object is no longer the version that was asked for."""


class StoreUnavailable(StoreError):
    """The store could not be reached, or refused, after bounded retries."""

    code = "store_unavailable"


class ObjectUnreadable(StoreUnavailable):
    """This object is there and cannot be opened, whatever becomes of the others."""


class ObjectArchived(ObjectUnreadable):
    """The object is in a tier of the store that cannot be read."""


class StoreNotInitialised(StoreUnavailable):
    """The store has no marker: it is new, or what should be mounted there is not."""
