"""An export in this process, without a service: what `tailrace export` does."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click

from engine.bootstrap import open_exporter
from engine.catalog.manifest import Run
from engine.common.cancellation import CancelToken
from engine.common.progress import Phase, Progress
from engine.errors import EngineError, NotFound
from engine.exports.export import Export
from engine.exports.exporter import Exporter
from engine.plan.planner import ExportPlan
from engine.request.formats import FORMATS
from engine.request.request import ExportRequest
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from web.cli.terminal.interrupts import interrupt
from web.cli.terminal.progress_bar import ProgressBar, counted
from web.settings import SigningSettings

_DRAW_INTERVAL_SECONDS = 0.1
_RETENTION = timedelta(hours=1)
"""How long the finished object is retained, so that it can be read to its end; sweeps wait another hour."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished export: its size and hash, and its bytes."""

    export_id: str
    workflow_id: str
    run_id: str
    rows: int
    size: int
    sha256: str | None
    crc64nvme: str | None
    chunks: Callable[[], Iterator[bytes]]


def export_here(exporter: Exporter, wanted: ExportRequest, team: str | None, bar: ProgressBar) -> Finished:
    """Run an export, which Ctrl-C cancels. Raises EngineError."""
    while True:
        plan = exporter.plan(wanted, team or owner_of(exporter, wanted.workflow))
        made = _export(exporter, plan, bar)
        if exporter.retain(made, datetime.now(UTC) + _RETENTION):
            break
    file = exporter.find(made.workflow_id, made.export_id, made.format.name).info
    return Finished(
        export_id=made.export_id,
        workflow_id=made.workflow_id,
        run_id=made.run_id,
        rows=made.rows,
        size=made.size,
        sha256=made.sha256,
        crc64nvme=made.crc64nvme,
        chunks=lambda: exporter.exports.stream(file.key, start=0, length=file.size, etag=file.etag),
    )


def prepare_exports(run: Run, formats: Sequence[str], bar: ProgressBar) -> None:
    """Export a published run in each format, and say so, or that it was exported before. Ctrl-C cancels.

    Raises ClickException if one fails.
    """
    if not formats:
        return
    # Ctrl-C was ignored when the run was published.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    # Retained as the service retains the exports that it makes.
    retention = SigningSettings().url_ttl * 1.25
    exporter = open_exporter(StorageSettings(), DuckDBSettings(), RunnerSettings(), retention=retention)
    for name in formats:
        request = ExportRequest(run.workflow_id, run=run.run_id, format=FORMATS[name])
        try:
            before = exporter.finished(exporter.plan(request, run.team or owner_of(exporter, run.workflow_id)))
            made = export_here(exporter, request, run.team, bar)
        except EngineError as error:
            raise click.ClickException(f"The run is published, but not exported as {name}: {error.message}") from error
        finally:
            bar.clear()
        click.echo(f"Prepared {name}{' before' if before else ''}: {counted(made.size, 'byte')}.")


def owner_of(exporter: Exporter, workflow_id: str) -> str:
    """Return the team that owns a workflow. Raises NotFound."""
    found = exporter.results.workflow(workflow_id)
    if found is None:
        raise NotFound(f"There is no workflow {workflow_id}: `tailrace runs` lists the published ones.")
    return found.team


def _export(exporter: Exporter, plan: ExportPlan, bar: ProgressBar) -> Export:
    cancel, progress = CancelToken(), Progress()
    progress.phase = Phase.RUNNING
    # The number of matching rows of a filtered export is not known in advance.
    total = plan.run.rows if plan.is_full_run else None
    with ThreadPoolExecutor(1, thread_name_prefix="export") as pool:
        try:
            running = pool.submit(exporter.export, plan, cancel, progress)
            while not wait({running}, timeout=_DRAW_INTERVAL_SECONDS).done:
                share = progress.rows / total if total else None
                bar.show(progress.phase, progress.rows, progress.bytes, share=share)
            return running.result()
        except KeyboardInterrupt:
            # The pool waits until the engine has cleaned up.
            cancel.cancel()
            raise
