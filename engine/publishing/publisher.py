"""Publishing a run: files in, typed Parquet parts out, the manifest last, and after it the workflow.

Nothing is visible to a reader before ``run.json`` is, and nothing of a new workflow before its first run: the parts of
a publication that died are files that no document names, and their names are never used again.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from engine.catalog.catalog import PART_SUFFIX, ROW_ID_FILTERS_SUFFIX, ResultStore
from engine.catalog.commits import Commits, already_published
from engine.catalog.manifest import Part, RowGroup, Run, RunObject, State, WholeFile, run_key, run_prefix
from engine.catalog.removal import Removal
from engine.catalog.row_group_stats import read_columns, read_row_groups
from engine.catalog.schema import ROW_ID, Field, Schema
from engine.catalog.types import TEXT
from engine.common.cancellation import CancelToken, cancelled_by
from engine.common.ids import checked_id
from engine.common.temp_folders import spill_folder
from engine.errors import AlreadyPublished, Conflict, EngineError, InvalidInput
from engine.execute.duckdb_errors import is_disk_full, reason_of
from engine.execute.row_group_copy import merge_run
from engine.execute.session import open_session
from engine.parquet.footer_merge import MAGIC, ByteRange
from engine.publishing.changes import with_changes
from engine.publishing.misfit import MAX_SEARCH_BYTES, value_that_does_not_fit
from engine.publishing.options import ReadOptions
from engine.publishing.progress import PublishPhase, PublishProgress
from engine.publishing.row_ids import check_row_ids, write_filters
from engine.publishing.schema_file import read_schema_file
from engine.publishing.sources import Source, open_source
from engine.publishing.spooling import USUAL_ROWS, copy_options, write_parts
from engine.settings import DuckDBSettings
from engine.stores.block_stream import BlockStream

_COPY_OPTIONS = copy_options(USUAL_ROWS)
_MANY_COLUMNS = 1_000
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
    content_sha256: str | None = None
    """Of the files and options, from a caller who wants to recognise a retry; it is stored in the manifest."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a publication would be, had it been published."""

    fields: tuple[Field, ...]
    rows: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A run in local files, each with its row groups."""

    source: Source
    parts: dict[Path, tuple[RowGroup, ...]]


class Publisher:
    """Writes runs into one result store."""

    def __init__(self, results: ResultStore, settings: DuckDBSettings) -> None:
        self._results = results
        self._settings = settings
        self._commits = Commits(results)
        self._removal = Removal(results)

    def publish(
        self, publication: Publication, cancel: CancelToken | None = None, progress: PublishProgress | None = None
    ) -> Run:
        """Publish a run and return it.

        Raises InvalidInput, AlreadyPublished or another Conflict, Cancelled or StoreError; then no reader sees any of
        it, and a workflow that was not there is not there. ``cancel`` counts until the manifest is written.
        """
        cancel, progress = cancel or CancelToken(), progress or PublishProgress()
        started = datetime.now(UTC)
        workflow, run_id = checked_id("workflow", publication.workflow), checked_id("run", publication.run)
        team = checked_id("team", publication.team)
        name = publication.name or workflow
        self._commits.check_publisher(workflow, team)
        existing = self._commits.existing(workflow, run_id, team)
        if existing is not None:
            # A publisher that died after its manifest leaves a run that is not the latest yet.
            self._commits.advance(existing, name)
            raise already_published(run_id)
        nonce = secrets.token_hex(4)
        before = self._latest(workflow, team)
        table = None if before is None else before.table
        with self._spooled(publication, table, cancel, progress) as spooled, self._undone_on_failure() as keys:
            filters = self._filters(spooled, publication.row_id, cancel)
            progress.begin(PublishPhase.UPLOADING, sum(path.stat().st_size for path in spooled.parts))
            prefix = f"{run_prefix(workflow, run_id)}part-"
            parts = tuple(
                self._upload(path, groups, filters.get(path), f"{prefix}{index:05d}-{nonce}", keys, cancel, progress)
                for index, (path, groups) in enumerate(spooled.parts.items())
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
                team=team,
                content_sha256=publication.content_sha256,
                notes=spooled.source.notes,
                row_hashes=publication.row_id is not None,
            )
            run = _with_whole_file(run, spooled, cancel)
            if run.state is State.FINISHED and before is not None and before.at <= run.at:
                run = with_changes(run, before, self._settings, list(spooled.parts), self._results, cancel)
            cancel.raise_if_cancelled()
            self._commit(run, name, keys)
        return run

    def _commit(self, run: Run, name: str, keys: list[str]) -> None:
        """Make the run visible. What is left in ``keys`` when it raises is removed, in that order."""
        try:
            self._commits.add(run)
            self._commits.advance(run, name)
        except AlreadyPublished:
            raise
        except Conflict:
            # The workflow went to another team, or was deleted. The manifest goes before the parts.
            self._removal.remove_manifest(run)
            raise
        except BaseException:
            # The manifest may be there all the same, its answer lost: what it names must stay. If it is not, a
            # sweep removes the parts; if it is, publishing again makes it the latest.
            if not self._is_unwritten(run):
                keys.clear()
            raise

    def _is_unwritten(self, run: Run) -> bool:
        """Whether the manifest is certainly not there: a directory loses no answers, but may be full."""
        store, key = self._results.store, run_key(run.workflow_id, run.run_id)
        try:
            return store.local_path(key) is not None and store.head(key) is None
        except EngineError:
            return False

    def _latest(self, workflow_id: str, team: str) -> Run | None:
        """The team's latest finished run, from whose types the next one starts."""
        workflow = self._results.workflow(workflow_id)
        if workflow is None or workflow.team != team or workflow.latest is None:
            return None
        return self._results.run(workflow_id, workflow.latest.run_id)

    @contextmanager
    def _spooled(
        self, publication: Publication, before: Schema | None, cancel: CancelToken, progress: PublishProgress
    ) -> Iterator[_Spooled]:
        """The run as typed Parquet files in a local folder, in order; files without rows are left out."""
        with spill_folder(self._settings.spill_directory) as folder:
            source = self._write_parts(publication, before, folder / "parts", cancel, progress)
            paths = sorted((folder / "parts").glob("*.parquet"), key=lambda path: int(path.stem))
            row_groups = {path: read_row_groups(path) for path in paths}
            parts = {path: groups for path, groups in row_groups.items() if any(group.rows for group in groups)}
            if publication.row_id is not None:
                with self._session(cancel) as connection:
                    check_row_ids(connection, paths, publication.row_id)
            yield _Spooled(source, parts)

    @contextmanager
    def _session(self, cancel: CancelToken) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session of one thread, since a publisher has one. Raises Cancelled."""
        with (
            open_session(self._settings, threads=1, locked=False) as connection,
            _interruptible(connection, cancel),
        ):
            yield connection

    def _filters(self, spooled: _Spooled, row_id: str | None, cancel: CancelToken) -> Mapping[Path, Path]:
        """The Bloom filters of the row ids, by part; none for a single row group, which is read anyway."""
        if row_id is None or sum(map(len, spooled.parts.values())) < 2:
            return {}
        with self._session(cancel) as connection:
            return write_filters(connection, spooled.parts)

    def _write_parts(
        self,
        publication: Publication,
        before: Schema | None,
        target: Path,
        cancel: CancelToken,
        progress: PublishProgress,
    ) -> Source:
        """In a session of its own: what DuckDB holds, some 80 MB, is free for what follows only if that is closed."""
        progress.begin(PublishPhase.READING, _size_of(publication.files))
        declared = None if publication.schema is None else read_schema_file(publication.schema)
        # One thread keeps the order of the rows for free.
        with open_session(self._settings, threads=1, locked=False) as connection:
            with _interruptible(connection, cancel):
                source = open_source(connection, publication.files, declared, publication.options, before)
            if not source.fields:
                raise InvalidInput("The files have no columns: declare the fields with --schema.")
            self._check_row_id(source, publication.row_id)
            with _interruptible(connection, cancel), progress.watching(connection, source.share_read):
                return write_parts(
                    connection,
                    source,
                    publication.row_id,
                    target,
                    _COPY_OPTIONS,
                    lambda found, error: _misfit(connection, publication.files, found, error, cancel),
                )

    def try_out(
        self, publication: Publication, cancel: CancelToken | None = None, progress: PublishProgress | None = None
    ) -> Trial:
        """Read and check all that `publish` would, and write nothing into the store. Raises InvalidInput."""
        latest = self._latest(checked_id("workflow", publication.workflow), publication.team)
        before = None if latest is None else latest.table
        cancel, progress = cancel or CancelToken(), progress or PublishProgress()
        with self._spooled(publication, before, cancel, progress) as spooled:
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

    def _upload(
        self,
        path: Path,
        groups: tuple[RowGroup, ...],
        filters: Path | None,
        name: str,
        keys: list[str],
        cancel: CancelToken,
        progress: PublishProgress,
    ) -> Part:
        key = name + PART_SUFFIX
        keys.append(key)
        with (
            path.open("rb") as file,
            BlockStream(self._results.store, key, content_type="application/vnd.apache.parquet") as stream,
        ):
            while data := file.read(_READ_BYTES):
                cancel.raise_if_cancelled()
                stream.append(data)
                progress.add_bytes(len(data))
            info = stream.commit({"sha256": stream.sha256})
        return Part(
            key=key,
            rows=sum(group.rows for group in groups),
            bytes=info.size,
            sha256=stream.sha256,
            etag=info.etag,
            row_groups=groups,
            columns=read_columns(path),
            row_id_filters=None if filters is None else self._upload_filters(filters, name, keys),
        )

    def _upload_filters(self, path: Path, name: str, keys: list[str]) -> RunObject:
        data, key = path.read_bytes(), name + ROW_ID_FILTERS_SUFFIX
        digest = hashlib.sha256(data).hexdigest()
        keys.append(key)
        info = self._results.store.create(
            key, data, content_type="application/octet-stream", metadata={"sha256": digest}
        )
        return RunObject(key=key, bytes=info.size, sha256=digest, etag=info.etag)

    def _check_row_id(self, source: Source, row_id: str | None) -> None:
        if row_id is not None and row_id not in {field.name for field in source.fields}:
            raise InvalidInput(f"There is no field {row_id!r} to take row ids from: --row-id names a column.")


def _with_whole_file(run: Run, spooled: _Spooled, cancel: CancelToken) -> Run:
    """The run with the hashes of its Parquet file."""
    if not run.parts:
        return run
    paths = {part.key: path for part, path in zip(run.parts, spooled.parts, strict=True)}

    def read(part: RunObject, byte_range: ByteRange) -> bytes:
        with paths[part.key].open("rb") as file:
            file.seek(byte_range.start)
            return file.read(byte_range.length)

    file = merge_run(run, read)
    digest, md5 = hashlib.sha256(MAGIC), []
    for part, piece in file.pieces:
        cancel.raise_if_cancelled()
        data = read(part, piece)
        digest.update(data)
        md5.append(base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode())
    digest.update(file.footer)
    whole = WholeFile(sha256=digest.hexdigest(), recipe=file.recipe, md5=tuple(md5))
    return run.model_copy(update={"whole_file": whole})


@contextmanager
def _interruptible(connection: duckdb.DuckDBPyConnection, cancel: CancelToken) -> Iterator[None]:
    """Statements of the connection, and readers of files, end with the token. Raises Cancelled."""
    try:
        with cancelled_by(cancel), cancel.watching(connection):
            yield
    except (duckdb.Error, InvalidInput):
        cancel.raise_if_cancelled()
        raise
    cancel.raise_if_cancelled()


def _size_of(files: Sequence[Path]) -> int:
    found = (inner for path in files for inner in (path.rglob("*") if path.is_dir() else (path,)))
    return sum(path.stat().st_size for path in found if path.is_file())


_UNFIT = (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.OutOfRangeException)
"""What DuckDB raises for a value of one row."""


def _misfit(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    source: Source,
    error: duckdb.Error,
    cancel: CancelToken,
) -> InvalidInput:
    """The error of a value that does not fit its field, with its place if that is found in reasonable time."""
    cancel.raise_if_cancelled()
    if isinstance(error, duckdb.OutOfMemoryException):
        advice = ", or bring fewer columns" if len(source.fields) > _MANY_COLUMNS else ""
        return InvalidInput(
            "The files need more memory than publishing may use: raise TAILRACE_MEMORY_LIMIT"
            f"{advice} ({reason_of(error)})."
        )
    if is_disk_full(error):
        return InvalidInput(
            "The disk of the spill folder is full: free some space, or set TAILRACE_SPILL_DIRECTORY to a folder on a "
            "larger one."
        )
    place = None
    if isinstance(error, _UNFIT) and _size_of(files) <= MAX_SEARCH_BYTES:
        place = value_that_does_not_fit(connection, source, cancel.raise_if_cancelled)
    where = f", in row {place[0]:,} and column {place[1]!r}" if place else ""
    what = "A value does not fit its field" if isinstance(error, _UNFIT) else "The files cannot be read"
    return InvalidInput(f"{what}{where}: {reason_of(error)}")
