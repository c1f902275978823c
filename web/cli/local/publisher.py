"""Publishes in this process, with progress and Ctrl-C, and describes the published run."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from engine.bootstrap import open_results
from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import Run, State
from engine.common.cancellation import CancelToken
from engine.common.ids import checked_id
from engine.common.private_files import restrict_umask
from engine.errors import Cancelled
from engine.publishing.progress import PublishProgress
from engine.publishing.publisher import Publication, Publisher, Trial
from engine.settings import DuckDBSettings, StorageSettings
from web.cli.init import initialise_new
from web.cli.local.team import publishing_team
from web.cli.terminal.exit_codes import Interrupted
from web.cli.terminal.interrupts import cancelling, ignore_from_now_on
from web.cli.terminal.program import program
from web.cli.terminal.progress_bar import ProgressBar, counted

_ResultT = TypeVar("_ResultT")

_DRAW_INTERVAL_SECONDS = 0.1
_MAX_COLUMNS = 40
"""Columns that are listed; a file may have thousands."""


class LocalPublisher:
    """Publishes in a thread, since Python delivers signals to the main thread, which draws the progress."""

    def __init__(self, cancel: CancelToken, bar: ProgressBar) -> None:
        self._cancel = cancel
        self._bar = bar

    def default_team(self, workflow_id: str) -> str:
        """The team that a run of this workflow belongs to. Raises UsageError where it could be one of several."""
        return publishing_team(checked_id("workflow", workflow_id), _results())

    def publish(self, publication: Publication) -> Run:
        """Publish a run. Once it is published, Ctrl-C is ignored. Raises Interrupted or EngineError."""
        published = self._run(lambda publisher, progress: publisher.publish(publication, self._cancel, progress))
        ignore_from_now_on()
        return published

    def existing(self, publication: Publication) -> Run | None:
        """The run that was in the way of this one, if it is still there."""
        return _results().run(publication.workflow, publication.run)

    def try_out(self, publication: Publication) -> Trial:
        """Read and check everything that `publish` would. Raises Interrupted or EngineError."""
        return self._run(lambda publisher, progress: publisher.try_out(publication, self._cancel, progress))

    def _run(self, work: Callable[[Publisher, PublishProgress], _ResultT]) -> _ResultT:
        progress = PublishProgress()
        with ThreadPoolExecutor(1, thread_name_prefix="publish") as pool:
            running = pool.submit(lambda: work(_publisher(), progress))
            try:
                _draw(running, progress, self._cancel, self._bar)
            finally:
                self._bar.clear()
        try:
            return running.result()
        except Cancelled:
            raise Interrupted from None


@contextmanager
def publishing(bar: ProgressBar) -> Iterator[LocalPublisher]:
    """Yield a publisher whose work Ctrl-C cancels."""
    cancel = CancelToken("Interrupted.")
    with cancelling(cancel.cancel):
        yield LocalPublisher(cancel, bar)


def _publisher() -> Publisher:
    return Publisher(_results(), DuckDBSettings())


def _results() -> ResultStore:
    restrict_umask()
    storage = StorageSettings()
    initialise_new(storage)
    return open_results(storage)


def _draw(running: "Future[Any]", progress: PublishProgress, cancel: CancelToken, bar: ProgressBar) -> None:
    while True:
        if progress.total:
            bar.show(progress.phase, None, progress.bytes, total=progress.total)
        if wait({running}, timeout=_DRAW_INTERVAL_SECONDS).done:
            return
        if cancel.cancelled:
            # Interrupting affects only the running statement; another one may have started since.
            cancel.cancel()


def described(run: Run) -> Iterator[str]:
    """Return the output of the command, line by line."""
    fields = run.table.delivered
    size = sum(part.bytes for part in run.parts)
    yield (
        f"Published {run.workflow_id}/{run.run_id} of team {run.team}: {counted(run.rows, 'row')}, "
        f"{counted(len(fields), 'column')}, {counted(len(run.parts), 'part')}, {counted(size, 'byte')}, {run.state}."
    )
    shown = fields[:_MAX_COLUMNS]
    width = max((len(field.name) for field in shown), default=0)
    for field in shown:
        yield f"  {field.name:<{width}}  {field.data_type} ({field.type.sql()})"
    if len(fields) > len(shown):
        yield f"  and {counted(len(fields) - len(shown), 'more column')}"
    yield from (f"Note: {note}" for note in run.notes)
    if run.state is State.FINISHED:
        yield f"Next: {program()} export {run.workflow_id} --run {run.run_id} -o {run.workflow_id}.csv"
    else:
        yield f"Next: {program()} runs {run.workflow_id} (only finished runs can be exported)"
