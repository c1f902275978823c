"""The runner port: writes the file of a plan, staged completely and ready to be committed.

Two adapters (`engine.runners.local`, `engine.runners.ray.runner`) pass the same tests and write the same bytes.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from engine.catalog.schema import Field
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.plan.planner import ExportPlan
from engine.stores.port import ObjectInfo


@dataclass(frozen=True, slots=True)
class Staged:
    """A file of ``size`` bytes that becomes visible when ``commit`` is called with its metadata.

    ``sha256`` is the hash of its bytes, in hexadecimal; None for a large file of a cluster. ``crc64nvme`` is their
    checksum as `engine.stores.crc64.as_text` writes it, of every file of a cluster. ``commit`` raises ObjectExists if
    the key is taken.
    """

    rows: int
    size: int
    sha256: str | None
    commit: Callable[[Mapping[str, str]], ObjectInfo]
    fields: tuple[Field, ...] | None = None
    """The columns of a statement's result, which its plan does not have."""
    crc64nvme: str | None = None


class Runner(Protocol):
    """Writes the files of plans into one object store. Safe to use from many threads."""

    def stage(
        self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress
    ) -> AbstractContextManager[Staged]:
        """Write the file of a plan for the object ``key``. Leaving the block without a commit leaves nothing visible.

        Raises LimitExceeded, SourceDamaged, Cancelled, StoreError or ClusterUnavailable.
        """
