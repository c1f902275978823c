"""The Python API: `publish` and `export`, as ``from engine import publish, export`` gives them.

Importing it reads no environment variable and has no side effects. A call reads the TAILRACE_ settings from the
environment for the arguments that are not given.
"""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engine.bootstrap import initialise_if_new, open_exporter, open_results
from engine.catalog.manifest import Run, State
from engine.common.cancellation import CancelToken
from engine.common.temp_folders import spill_folder
from engine.errors import InvalidInput, NotFound, SourceDamaged
from engine.exports.exporter import Exporter
from engine.publishing.arrow_data import is_arrow_data, write_arrow
from engine.publishing.options import ReadOptions
from engine.publishing.publisher import Publication, Publisher
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.request.request import CsvOptions, ExportRequest, read_fields, read_filters, read_row_ids
from engine.settings import DuckDBSettings, StorageSettings

PathLike: TypeAlias = str | os.PathLike[str]
_READ_TIME = timedelta(hours=1)
_INTERRUPT_INTERVAL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its field type (such as ``NUMBER``) and its stored type in SQL (such as ``DOUBLE``)."""

    name: str
    type: str
    stored_as: str


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """A published run. ``bytes`` is the size of its Parquet files; ``notes`` explain what was decided for it."""

    workflow: str
    run: str
    team: str
    state: str
    rows: int
    bytes: int
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """An exported file. ``bytes`` is its size; ``sha256`` is the hash of its content, in hexadecimal.

    A large file that a cluster made has no ``sha256``, but its ``crc64nvme`` in base64 (TAILRACE_SHA256_LIMIT).
    """

    path: Path
    workflow: str
    run: str
    format: str
    rows: int
    bytes: int
    sha256: str | None
    columns: tuple[Column, ...]
    crc64nvme: str | None = None


def publish(
    data: Any,
    *,
    workflow: str,
    run: str,
    team: str = "default",
    name: str | None = None,
    schema: PathLike | None = None,
    row_id: str | None = None,
    executed_at: datetime | None = None,
    state: Literal["FINISHED", "IN_PROGRESS", "FAILED"] = "FINISHED",
    options: ReadOptions | None = None,
    results: str | None = None,
    exports: str | None = None,
) -> PublishedRun:
    """Publish data as a run of a workflow. The first run creates the workflow; runs never change.

    ``data`` is the path of a file, a list of paths, or a table: Arrow (``Table``, ``RecordBatch``,
    ``RecordBatchReader``), pandas, Polars, or any object with ``__arrow_c_stream__``. A reader is read once, batch by
    batch. An ``executed_at`` without an offset is UTC. ``results`` and ``exports`` are as in `export`; new results are
    bound to the exports store.

    Raises InvalidInput for data that cannot be stored exactly, AlreadyPublished, Conflict or StoreError; then no reader
    sees any part of the run.
    """
    storage, duckdb = _storage(results, exports), DuckDBSettings()
    with ExitStack() as stack:
        if is_arrow_data(data):
            folder = stack.enter_context(spill_folder(duckdb.spill_directory))
            files: tuple[Path, ...] = (write_arrow(data, folder / "the table"),)
        else:
            files = _paths(data)
        publication = Publication(
            workflow=workflow,
            run=run,
            files=files,
            team=team,
            name=name,
            schema=None if schema is None else Path(schema),
            row_id=row_id,
            executed_at=_in_utc(executed_at),
            state=State(state),
            options=options or ReadOptions(),
        )
        initialise_if_new(storage)
        return _described(_publish(Publisher(open_results(storage), duckdb), publication))


def export(
    workflow: str,
    path: PathLike,
    *,
    run: str | None = None,
    team: str | None = None,
    format: str | None = None,  # noqa: A002  # the name that it has everywhere else
    filters: Sequence[Mapping[str, object]] = (),
    sort_by: str | None = None,
    descending: bool = False,
    row_ids: Iterable[str] | None = None,
    include_row_ids: bool = False,
    fields: Sequence[str] | None = None,
    flatten: bool = False,
    compression: str | None = None,
    since: str | None = None,
    csv: CsvOptions | None = None,
    results: str | None = None,
    exports: str | None = None,
) -> ExportedFile:
    """Export rows of a run, by default the latest, to a file. Replaces an existing file once the new one is complete.

    ``format`` is ``csv``, ``json``, ``jsonl``, ``xlsx`` or ``parquet``, and ``compression`` is ``none``, ``gzip`` or
    ``zstd``; by default, both follow from the extension of the path (``jobs.csv.gz``). ``team`` is by default the owner
    of the workflow. ``fields`` are names or dotted paths of columns in their order, by default all; ``flatten`` makes a
    column of each member of an object. ``since`` is an earlier run: only what changed since is exported (web/API.md,
    section 9). ``results`` and ``exports`` are directories or ``az://container/prefix``; if only ``results`` is given,
    exports are in ``{results}-exports``; without either, TAILRACE_RESULTS and TAILRACE_EXPORTS apply.

    Raises NotFound, InvalidRequest, InvalidInput, LimitExceeded, SourceDamaged or StoreError; then the path is
    unchanged.
    """
    target = Path(path)
    exporter = open_exporter(_storage(results, exports), DuckDBSettings())
    request = ExportRequest(
        workflow=workflow,
        run=run,
        format=FORMATS[_format(target, format)],
        filters=read_filters([dict(entry) for entry in filters]),
        sort_by=sort_by,
        descending=descending,
        row_ids=None if row_ids is None else read_row_ids(list(row_ids)),
        include_row_ids=include_row_ids,
        fields=None if fields is None else read_fields(fields),
        flatten=flatten,
        compression=COMPRESSIONS[_compression(target, compression)],
        since_run=since,
        csv=csv or CsvOptions(),
    )
    plan = exporter.plan(request, team or _owner(exporter, workflow))
    while True:
        made = exporter.export(plan, CancelToken())
        # Otherwise a sweep has just removed it: make it again.
        if exporter.retain(made, datetime.now(UTC) + _READ_TIME):
            break
    info = exporter.find(workflow, made.export_id, made.format.name).info
    part = target.with_name(f".{target.name}.{made.export_id}.part")
    try:
        with part.open("wb") as file:
            for chunk in exporter.exports.stream(info.key, start=0, length=info.size, etag=info.etag):
                file.write(chunk)
        if part.stat().st_size != made.size:
            raise SourceDamaged("Size mismatch after the copy of the export.")
        shutil.move(part, target)
    finally:
        part.unlink(missing_ok=True)
    return ExportedFile(
        path=target,
        workflow=workflow,
        run=made.run_id,
        format=made.format.name,
        rows=made.rows,
        bytes=made.size,
        sha256=made.sha256,
        columns=tuple(Column(field.name, field.data_type, field.type.sql()) for field in made.fields),
        crc64nvme=made.crc64nvme,
    )


def _publish(publisher: Publisher, publication: Publication) -> Run:
    """Publish in another thread, so that Ctrl-C interrupts the wait at once and no step of the publish half-way."""
    cancel = CancelToken()
    with ThreadPoolExecutor(1, thread_name_prefix="publish") as pool:
        running = pool.submit(publisher.publish, publication, cancel)
        try:
            return running.result()
        finally:
            while not running.done():
                # Cancelling interrupts the running statement; another may have begun since.
                cancel.cancel()
                wait({running}, timeout=_INTERRUPT_INTERVAL_SECONDS)


def _described(run: Run) -> PublishedRun:
    return PublishedRun(
        workflow=run.workflow_id,
        run=run.run_id,
        team=run.team or "",
        state=str(run.state),
        rows=run.rows,
        bytes=sum(part.bytes for part in run.parts),
        columns=tuple(Column(field.name, field.data_type, field.type.sql()) for field in run.table.delivered),
        notes=run.notes,
        published_at=run.published_at,
    )


def _storage(results: str | None, exports: str | None) -> StorageSettings:
    if results is not None and exports is None:
        # The exports store of the environment is bound to the results store of the environment.
        exports = f"{results.rstrip('/')}-exports"
    given = {"results": results, "exports": exports}
    return StorageSettings().model_copy(update={name: value for name, value in given.items() if value is not None})


def _paths(data: object) -> tuple[Path, ...]:
    if isinstance(data, str | os.PathLike):
        return (Path(data),)
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        found = list(data)
        if found and all(isinstance(path, str | os.PathLike) for path in found):
            return tuple(map(Path, found))
    raise InvalidInput(
        f"Cannot publish data of type {type(data).__name__}: pass a path, a list of paths, or an Arrow, "
        "pandas or Polars table (pyarrow.Table.from_pylist makes one of dictionaries)."
    )


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _format(path: Path, name: str | None) -> str:
    plain = path.with_suffix("") if path.suffix in {row.extension for row in COMPRESSIONS.values()} - {""} else path
    found = name or next((row.name for row in FORMATS.values() if plain.suffix == f".{row.extension}"), None)
    if found not in FORMATS:
        raise InvalidInput(f"Unknown format: pass format={' or '.join(FORMATS)}, or a path with such an extension.")
    return found


def _compression(path: Path, name: str | None) -> str:
    named = (row.name for row in COMPRESSIONS.values() if row.extension and row.extension == path.suffix)
    found = name or next(named, "none")
    if found not in COMPRESSIONS:
        raise InvalidInput(f"Unknown compression: pass compression={' or '.join(COMPRESSIONS)}.")
    return found


def _owner(exporter: Exporter, workflow: str) -> str:
    found = exporter.results.workflow(workflow)
    if found is None:
        raise NotFound(f"There is no workflow {workflow}.")
    return found.team
