"""What goes to a task of a cluster and what comes back: plain values, whose pickles are small.

Credentials are no part of them. A task opens stores by their location, with what the environment of its node says.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pickle import PickleBuffer
from typing import Protocol

from engine.plan.planner import OUTPUT_VERSION
from engine.settings import DuckDBSettings


def versions() -> str:
    """All that decides the bytes of a file, and has to be the same on every node."""
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"tailrace {version('tailrace')} (output {OUTPUT_VERSION}), duckdb {version('duckdb')}, "
        f"pyarrow {version('pyarrow')}, Python {python}"
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What the tasks of one export share. ``results`` and ``exports`` are locations, ``handle`` is of the upload.

    ``settings`` are the limits of one task, of which ``tasks_at_once`` run at most, if that is not None;
    ``block_sizes`` are the bytes of a task's blocks, the last takes what is left.
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
    block_sizes: Sequence[int]
    tasks_at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A staged block as its task made it: id, bytes, and the 64 bits of XXH3 of these."""

    id: str
    length: int
    xxh3: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive bytes of the file, staged as blocks.

    ``content`` has the bytes again, a buffer a block, unless the store can read them back. Ids and bytes come together,
    so that what is hashed is what is committed, whichever attempt of a task it is from. ``footers`` are those of its
    Parquet files.
    """

    blocks: tuple[Block, ...]
    content: tuple[PickleBuffer | memoryview, ...]
    rows: int
    footers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task ended without a result: an error's class in `engine.errors`, its sentence, and details."""

    kind: str
    message: str
    details: Mapping[str, object]
    cause: str = ""


class Task(Protocol):
    """One unit of work."""

    @property
    def returns(self) -> int:
        """How many results it has; each is kept by the cluster until it is used."""

    def run(self, job: Job, inputs: Sequence[object]) -> object:
        """Do it, in whatever process of the cluster: one result, or a list of ``returns``.

        ``inputs`` are results of other tasks.
        """
