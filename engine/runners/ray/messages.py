"""What goes to a task of a cluster and what comes back: plain values with small pickles.

They hold no credentials. A task opens stores by their location, with the credentials in the environment of its node.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pickle import PickleBuffer
from typing import Protocol

from engine.plan.planner import OUTPUT_VERSION
from engine.request.formats import COMPRESSIONS, Compression
from engine.settings import DuckDBSettings
from engine.stores.block_writer import BlockTiers


def versions() -> str:
    """The versions that decide the bytes of a file and their checksum, and so must be the same on every node."""
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"tailrace {version('tailrace')} (output {OUTPUT_VERSION}, CRC-64), duckdb {version('duckdb')}, "
        f"pyarrow {version('pyarrow')}, zlib-ng {version('zlib-ng')}, Python {python}"
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What the tasks of one export share. ``results`` and ``exports`` are locations, ``handle`` is of the upload.

    ``settings`` are the limits of one task, ``block_tiers`` the sizes of its blocks. At most ``max_tasks`` tasks run at
    the same time; None means no limit.
    """

    versions: str
    results: str
    exports: str
    key: str
    handle: str
    format: str
    bom: bool
    parameters: Mapping[str, object]
    published_at: datetime
    settings: DuckDBSettings
    block_tiers: BlockTiers
    max_tasks: int | None = None
    compression: Compression = COMPRESSIONS["none"]


@dataclass(frozen=True, slots=True)
class Block:
    """A staged block: its id, its length in bytes, and their CRC-64/NVME."""

    id: str
    length: int
    crc64: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive bytes of the file, staged as blocks by one run of a task.

    ``content`` has a buffer for each block, or none at all if the store can read staged blocks back, or if the driver
    does not need the bytes. Ids and bytes travel together, so that the bytes that are hashed are those that are
    committed, whichever run of the task they are from. ``footers`` are the footers of the Parquet files that DuckDB
    wrote.
    """

    blocks: tuple[Block, ...]
    content: tuple[PickleBuffer | memoryview, ...]
    rows: int
    footers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task has no result: the name of a class of `engine.errors`, its message and details, and the cause."""

    kind: str
    message: str
    details: Mapping[str, object]
    cause: str = ""


class Task(Protocol):
    """One unit of work."""

    @property
    def returns(self) -> int:
        """Number of results; the cluster stores each of them separately until it is used."""

    def run(self, job: Job, inputs: Sequence[object]) -> object:
        """Do the work, in any process of the cluster. Returns one result, or a list of ``returns`` results.

        ``inputs`` are results of other tasks.
        """
