"""The engine without the service: a publisher and exporters on one store, and input files."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.common.strict_json import loads
from engine.execute.instance_pool import InstancePool
from engine.execute.session import open_instance
from engine.execute.warm_instances import WarmInstances
from engine.exports.export import Export, export_key
from engine.exports.exporter import Exporter
from engine.plan.planner import ExportPlan
from engine.plan.ranges import TARGET_BYTES
from engine.publishing.publisher import Publication, Publisher
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.request.request import CsvOptions, ExportRequest, read_filters, read_row_ids
from engine.runners import LocalRunner, Runner
from engine.runners.size_router import SizeRouter
from engine.settings import DuckDBSettings
from engine.stores import DirectoryStore, ObjectStore
from tests.helpers.files import Row, read_json
from tests.helpers.tasks import tasks_of
from tests.helpers.thread_pool import ThreadPool

NOW = datetime(2026, 6, 15, 12, 30, 15, tzinfo=UTC)
TEAM = "acme"
WORKFLOW = "w"

_LIMITS = DuckDBSettings(memory_limit="500MB", spill_limit="1GB")


class _Kept(InstancePool):
    """Instances that stay open until the process ends, without a thread that opens others in advance."""

    is_running = True


_KEPT = WarmInstances(_Kept(open_instance), _LIMITS)
"""Opening an instance takes longer than the rest of a small export; all engines of a process have these limits."""


class _RunnerOfKept(LocalRunner):
    """Small exports run on instances that outlive the runner."""

    def __init__(self, results: ObjectStore, exports: ObjectStore, settings: DuckDBSettings) -> None:
        super().__init__(results, exports, settings)
        self._warm = _KEPT


class Engine:
    """Publishes into and exports from one store; the clock is stopped at `NOW`.

    With a ``pool``, exports of several ranges run as its tasks. Small exports of the `usual_exporter` share instances
    of DuckDB that stay open, as those of a service do; other exporters open instances of their own.
    """

    def __init__(
        self,
        folder: Path,
        store: ObjectStore | None = None,
        pool: ThreadPool | None = None,
    ) -> None:
        self.folder = folder
        self.pool = pool
        folder.mkdir(parents=True, exist_ok=True)
        self.store = store or DirectoryStore(folder / "store")
        self.results = ResultStore(self.store)
        self.publisher = Publisher(self.results, self.settings(1))

    def settings(self, threads: int) -> DuckDBSettings:
        """Limits that do not depend on the machine."""
        return _LIMITS.model_copy(update={"threads": threads, "spill_directory": self.folder / "spill"})

    def publish(self, *files: Path, run: str = "r", workflow: str = WORKFLOW, team: str = TEAM, **options: Any) -> Run:
        """Publish files as a run."""
        return self.publisher.publish(Publication(workflow, run, files, team=team, **options))

    def publish_rows(self, rows: Sequence[Mapping[str, object]], run: str = "r", **options: Any) -> Run:
        """Publish rows as a JSON array."""
        return self.publish(self.write_json(rows, f"{run}.json"), run=run, **options)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_json(self, rows: Sequence[Mapping[str, object]], name: str = "rows.json") -> Path:
        """Write a file with a JSON array."""
        return self.write(name, json.dumps(rows))

    def write_csv(self, header: Sequence[str], cells: Sequence[Sequence[str]], name: str = "rows.csv") -> Path:
        """Write a CSV file with Python's writer."""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([header, *cells])
        return self.write(name, text.getvalue())

    def write_parquet(self, table: pa.Table, name: str = "rows.parquet") -> Path:
        """Write a Parquet file with Arrow."""
        pyarrow.parquet.write_table(table, self.folder / name)
        return self.folder / name

    def write_schema(self, **types: str) -> Path:
        """Write a schema file with these fields and types."""
        fields = [{"name": name, "dataType": data_type} for name, data_type in types.items()]
        return self.write("schema.json", json.dumps({"fields": fields}))

    def exporter(
        self,
        *,
        threads: int = 1,
        range_bytes: int = TARGET_BYTES,
        exports: ObjectStore | None = None,
        clock: Callable[[], datetime] = lambda: NOW,
        runs: Callable[[ObjectStore, ObjectStore, DuckDBSettings], Runner] = LocalRunner,
    ) -> Exporter:
        """An exporter of the store's runs into ``exports``, or into the same store."""
        exports, settings = exports or self.store, self.settings(threads)
        runner = runs(self.store, exports, settings)
        if self.pool is not None:
            runner = SizeRouter(runner, tasks_of(self.pool, self.store, exports, settings), 0)
        return Exporter(self.results, exports, settings, clock=clock, range_bytes=range_bytes, runner=runner)

    @cached_property
    def usual_exporter(self) -> Exporter:
        """The exporter that has no options, made once."""
        return self.exporter(runs=_RunnerOfKept)

    def plan(self, exporter: Exporter, format_name: str = "json", **options: Any) -> ExportPlan:
        """Plan a `request`."""
        return exporter.plan(request(format_name, **options), TEAM)

    def export(self, format_name: str = "json", exporter: Exporter | None = None, **options: Any) -> Export:
        """Run one export."""
        exporter = exporter or self.usual_exporter
        return exporter.export(self.plan(exporter, format_name, **options), CancelToken())

    def content(self, export: Export) -> bytes:
        """The bytes of an export."""
        return self.store.read(export_key(export.workflow_id, export.export_id, export.format))

    def export_bytes(self, format_name: str = "csv", exporter: Exporter | None = None, **options: Any) -> bytes:
        """Run one export and read its bytes."""
        return self.content(self.export(format_name, exporter, **options))

    def export_rows(self, exporter: Exporter | None = None, **options: Any) -> list[Row]:
        """Run one JSON export, parse its rows and check their count."""
        export = self.export("json", exporter, **options)
        rows = read_json(self.content(export))
        assert export.rows == len(rows)
        return rows

    def keys(self, prefix: str = "") -> list[str]:
        """The keys in the store, in order."""
        return [info.key for info in self.store.list(prefix)]


def request(
    format_name: str,
    *,
    workflow: str = WORKFLOW,
    filters: Sequence[Mapping[str, object]] = (),
    row_ids: Sequence[str] | None = None,
    csv_options: CsvOptions | None = None,
    compression: str = "none",
    **options: Any,
) -> ExportRequest:
    """A request with filters that were parsed from JSON text, as a caller's are."""
    return ExportRequest(
        workflow=workflow,
        format=FORMATS[format_name],
        filters=read_filters(loads(json.dumps(list(filters)))),
        row_ids=None if row_ids is None else read_row_ids(row_ids),
        csv=csv_options or CsvOptions(),
        compression=COMPRESSIONS[compression],
        **options,
    )


def entry(field: str, operator: str, value: object = None) -> dict[str, object]:
    """An entry of ``filters``; None omits the value."""
    return {"field": field, "operator": operator} | ({} if value is None else {"value": value})
