"""One export run twice: here, and as tasks of a pool or a cluster, into a store of its own."""

import base64
import hashlib
import sys
from pathlib import Path
from typing import Any

from awscrt.checksums import crc64nvme

from engine.common.cancellation import CancelToken
from engine.exports.export import export_key
from engine.exports.exporter import Exporter
from engine.plan.planner import ExportPlan
from engine.runners import LocalRunner, Runner
from engine.runners.ray.pool_port import TaskPool
from engine.runners.size_router import SizeRouter
from engine.stores import DirectoryStore, ObjectStore
from engine.stores.marker import MARKER_KEYS
from tests.helpers.engine import NOW, Engine
from tests.helpers.tasks import tasks_of

SMALL = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 3, FILENAME_PATTERN '{i}'"
"""Of these a run of a few thousand rows has several parts."""


class Spread:
    """Exports of an engine's runs by another runner, every range a task of its own."""

    def __init__(self, engine: Engine, exports: ObjectStore, runner: Runner) -> None:
        self.engine = engine
        self.exports = exports
        # Nodes do not create the store.
        exports.create("first", b"", content_type="text/plain", metadata={})
        exports.delete("first")
        self.exporter = Exporter(
            engine.results,
            exports,
            engine.settings(2),
            clock=lambda: NOW,
            range_bytes=1,
            runner=SizeRouter(LocalRunner(engine.store, exports, engine.settings(2)), runner, 0),
        )

    def check(self, plan: ExportPlan, cancel: CancelToken | None = None, *, hashed: bool = True) -> bytes:
        """The same bytes and the same facts as those of this process; no SHA-256 if it is not ``hashed``."""
        found = self.exporter.export(plan, cancel or CancelToken())
        content = self.content(plan)
        wanted = self.engine.exporter(range_bytes=1).export(plan, CancelToken())
        assert content == self.engine.content(wanted)
        assert (found.rows, found.size) == (wanted.rows, wanted.size)
        assert wanted.sha256 == hashlib.sha256(content).hexdigest()
        assert found.sha256 == (wanted.sha256 if hashed else None)
        # A file that was made here, since no task can write it, has none.
        checksum = base64.b64encode(crc64nvme(content).to_bytes(8, "big")).decode()
        assert found.crc64nvme in ((None, checksum) if hashed else (checksum,))
        return content

    def content(self, plan: ExportPlan) -> bytes:
        """The bytes that the other runner made."""
        return self.exports.read(export_key(plan.run.workflow_id, plan.export_id, plan.request.format))

    def visible(self) -> list[str]:
        """What lies in the store of the other runner, without its marker."""
        return [info.key for info in self.exports.list("") if info.key not in MARKER_KEYS.values()]


def spread_over(
    pool: TaskPool,
    engine: Engine,
    folder: Path,
    *,
    min_task_bytes: int = 1,
    max_tasks: int | None = None,
    max_hashed_bytes: int = sys.maxsize,
) -> Spread:
    """Over a pool, into a directory; the engine's own store has to be one too."""
    exports, settings = DirectoryStore(folder), engine.settings(2)
    limits: dict[str, Any] = {
        "min_task_bytes": min_task_bytes,
        "max_tasks": max_tasks,
        "max_hashed_bytes": max_hashed_bytes,
    }
    runner = tasks_of(pool, engine.store, exports, settings, **limits)
    return Spread(engine, exports, runner)


def staged(folder: Path) -> list[Path]:
    """What a directory store keeps of uploads that have not ended."""
    return list((folder / ".staging").glob("*"))
