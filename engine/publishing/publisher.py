"""Publishing a run: files in, typed Parquet parts out, the manifest last.

Nothing is visible to a reader before ``run.json`` is: the parts of a publication that died are files that no
document names, and their names are never used again.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from engine.catalog.catalog import PART, ROW_ID_FILTERS, ResultStore, run_prefix
from engine.catalog.manifest import Part, RowGroup, Run, RunObject, State, Workflow
from engine.catalog.row_group_stats import read_row_groups
from engine.catalog.schema import ROW_ID, Field, Schema
from engine.catalog.types import TEXT
from engine.common.ids import checked_id
from engine.common.table_functions import exact_path, read_parquet
from engine.common.temp_folders import spill_folder
from engine.errors import Conflict, EngineError, InvalidInput
from engine.execute.session import open_session
from engine.plan.bloom_filters import make_filters
from engine.publishing.options import ReadOptions
from engine.publishing.schema_file import read_schema_file
from engine.publishing.sources import Source, first_line, open_source
from engine.publishing.spooling import USUAL_ROWS, copy_options, write_parts
from engine.settings import DuckDBSettings
from engine.stores.block_stream import BlockStream

_COPY_OPTIONS = copy_options(USUAL_ROWS)
_READ_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publisher says of a run. ``row_id`` names a field whose values are unique; None makes row ids."""

    workflow: str
    run: str
    files: tuple[Path, ...]
    team: str = "default"
    name: str | None = None
    schema: Path | None = None
    row_id: str | None = None
    executed_at: datetime | None = None
    state: State = State.FINISHED
    options: ReadOptions = field(default_factory=ReadOptions)
    on_notes: Callable[[Sequence[str]], None] = lambda _: None
    """Takes what was decided without being asked for, before the run becomes visible."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a publication would be, had it been published."""

    fields: tuple[Field, ...]
    rows: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A run in local files, by file its row groups. ``filtering`` makes filters of their row ids, if they need any."""

    source: Source
    parts: dict[Path, tuple[RowGroup, ...]]
    filtering: duckdb.DuckDBPyConnection | None


class Publisher:
    """Writes runs into one result store."""

    def __init__(self, results: ResultStore, settings: DuckDBSettings) -> None:
        self._results = results
        self._settings = settings

    def publish(self, publication: Publication) -> Run:
        """Publish a run and return it. Raises InvalidInput, Conflict or StoreError; then no reader sees any of it."""
        started = datetime.now(UTC)
        workflow, run_id = checked_id("workflow", publication.workflow), checked_id("run", publication.run)
        team = checked_id("team", publication.team)
        claimed = self._results.claim(workflow, team, publication.name or workflow)
        existing = self._results.run(workflow, run_id)
        if existing is not None:
            # A publisher that died after its manifest leaves a run that is not the latest yet.
            self._results.advance(existing)
            raise Conflict(f"The run {run_id} is published already; runs never change: take a new id.")
        nonce = secrets.token_hex(4)
        with self._spooled(publication, self._latest_schema(claimed)) as spooled, self._undone_on_failure() as keys:
            publication.on_notes(spooled.source.notes)
            parts = tuple(
                self._upload(spooled, path, f"{run_prefix(workflow, run_id)}part-{index:05d}-{nonce}", keys)
                for index, path in enumerate(spooled.parts)
            )
            run = Run(
                workflow_id=workflow,
                run_id=run_id,
                version=nonce,
                state=publication.state,
                table=Schema.of(Field(name=ROW_ID, data_type="STRING", type=TEXT), *spooled.source.fields),
                rows=sum(part.rows for part in parts),
                row_id_field=publication.row_id,
                parts=parts,
                started_at=started,
                executed_at=publication.executed_at,
                published_at=datetime.now(UTC),
            )
            try:
                self._results.add(run)
            except Conflict:
                raise
            except BaseException:
                # The manifest may be there all the same, its answer lost: what it names must stay. If it is not, a
                # sweep removes the parts.
                keys.clear()
                raise
        self._results.advance(run)
        return run

    def _latest_schema(self, workflow: Workflow) -> Schema | None:
        """The schema of the latest finished run, from whose types the next one starts."""
        run = None if workflow.latest is None else self._results.run(workflow.workflow_id, workflow.latest.run_id)
        return None if run is None else run.table

    @contextmanager
    def _spooled(self, publication: Publication, before: Schema | None) -> Iterator["_Spooled"]:
        """The run as typed Parquet files in a local folder, in order; files without rows are left out."""
        declared = None if publication.schema is None else read_schema_file(publication.schema)
        with (
            spill_folder(self._settings.spill_directory) as folder,
            # One thread keeps the order of the rows for free.
            open_session(self._settings, threads=1, locked=False) as connection,
        ):
            source = open_source(connection, publication.files, declared, publication.options, before)
            if not source.fields:
                raise InvalidInput("The files have no columns and no rows: declare the fields with --schema.")
            self._check_row_id(source, publication.row_id)
            target = folder / "parts"
            source = write_parts(connection, source, publication.row_id, target, _COPY_OPTIONS)
            try:
                spool = sorted(target.glob("*.parquet"), key=lambda path: int(path.stem))
                _check_row_ids(connection, spool, publication.row_id)
            except duckdb.Error as error:
                raise InvalidInput(f"A value does not fit its field: {first_line(error)}") from error
            row_groups = {path: read_row_groups(path) for path in spool}
            parts = {path: groups for path, groups in row_groups.items() if any(group.rows for group in groups)}
            # A single row group is read anyway.
            several = sum(map(len, parts.values())) > 1
            yield _Spooled(source, parts, connection if several and publication.row_id is not None else None)

    def try_out(self, publication: Publication) -> Trial:
        """Read and check all that `publish` would, and write nothing into the store. Raises InvalidInput."""
        workflow = self._results.workflow(checked_id("workflow", publication.workflow))
        owned = workflow if workflow is not None and workflow.team == publication.team else None
        with self._spooled(publication, None if owned is None else self._latest_schema(owned)) as spooled:
            rows = sum(group.rows for groups in spooled.parts.values() for group in groups)
            return Trial(spooled.source.fields, rows, spooled.source.notes)

    @contextmanager
    def _undone_on_failure(self) -> Iterator[list[str]]:
        keys: list[str] = []
        try:
            yield keys
        except BaseException:
            for key in keys:
                try:
                    self._results.store.delete(key)
                except EngineError:
                    # What cannot be removed is seen by nobody: no manifest names it.
                    continue
            raise

    def _upload(self, spooled: "_Spooled", path: Path, name: str, keys: list[str]) -> Part:
        groups, key = spooled.parts[path], name + PART
        keys.append(key)
        with (
            path.open("rb") as file,
            BlockStream(self._results.store, key, content_type="application/vnd.apache.parquet") as stream,
        ):
            while data := file.read(_READ_BYTES):
                stream.append(data)
            info = stream.commit({"sha256": stream.sha256})
        return Part(
            key=key,
            rows=sum(group.rows for group in groups),
            bytes=info.size,
            sha256=stream.sha256,
            etag=info.etag,
            row_groups=groups,
            row_id_filters=self._upload_filters(spooled, path, name + ROW_ID_FILTERS, keys),
        )

    def _upload_filters(self, spooled: "_Spooled", path: Path, key: str, keys: list[str]) -> RunObject | None:
        if spooled.filtering is None:
            return None
        try:
            filters = b"".join(make_filters(spooled.filtering, path, spooled.parts[path]))
        except duckdb.Error as error:
            raise InvalidInput(f"The filters of the row ids cannot be made: {first_line(error)}") from error
        digest = hashlib.sha256(filters).hexdigest()
        keys.append(key)
        info = self._results.store.create(
            key, filters, content_type="application/octet-stream", metadata={"sha256": digest}
        )
        return RunObject(key=key, bytes=info.size, sha256=digest, etag=info.etag)

    def _check_row_id(self, source: Source, row_id: str | None) -> None:
        if row_id is not None and row_id not in {field.name for field in source.fields}:
            raise InvalidInput(f"There is no field {row_id!r} to take row ids from: --row-id names a column.")


def _check_row_ids(connection: duckdb.DuckDBPyConnection, spool: list[Path], row_id: str | None) -> None:
    if row_id is None:
        return
    paths = {"paths": [exact_path(path) for path in spool]}
    repeated = connection.execute(
        f"SELECT {ROW_ID} FROM {read_parquet('$paths')} GROUP BY {ROW_ID} "  # noqa: S608  # a constant name
        f"HAVING count(*) > 1 OR {ROW_ID} IS NULL OR {ROW_ID} = '' LIMIT 1",
        paths,
    ).fetchone()
    if repeated is not None:
        what = "is missing in a row" if not repeated[0] else f"is not unique: {repeated[0]!r} stands in several rows"
        raise InvalidInput(f"The row id field {row_id} {what}: name another, or none to have row ids made.")
