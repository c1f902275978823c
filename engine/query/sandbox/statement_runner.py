"""Exports the results of callers' statements: their processes write the text, and this one compresses and stores it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from engine.catalog.catalog import ResultStore
from engine.common.cancellation import CancelToken
from engine.common.chunk import Chunk
from engine.common.progress import Progress
from engine.execute.assemblers import CompressedAssembler
from engine.execute.compression import CompressingSink, compressing, compressor
from engine.execute.file_assembler import BOM, FileAssembler
from engine.execute.ordered_sink import OrderedSink
from engine.plan.planner import ExportPlan
from engine.query.sandbox.client import Limits, Statement, write_statement
from engine.request.request import ExportRequest
from engine.request.statement import StatementRequest
from engine.runners.port import Runner, Staged
from engine.stores.block_stream import BlockStream
from engine.stores.port import ObjectStore


class StatementRunner:
    """Writes the files of plans that have a statement, within ``limits``, and leaves all others to another runner."""

    def __init__(self, others: Runner, results: ResultStore, exports: ObjectStore, limits: Limits) -> None:
        self._others = others
        self._results = results
        self._exports = exports
        self._limits = limits

    def stage(
        self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress
    ) -> AbstractContextManager[Staged]:
        """Implements `Runner.stage`. Raises InvalidStatement, ChildCrashed or ChildFailed, too."""
        statement = plan.request.statement
        if statement is None:
            return self._others.stage(plan, key, cancel, progress)
        return self._stage(plan, statement, key, cancel, progress)

    @contextmanager
    def _stage(
        self, plan: ExportPlan, statement: StatementRequest, key: str, cancel: CancelToken, progress: Progress
    ) -> Iterator[Staged]:
        request = plan.request
        with BlockStream(self._exports, key, content_type=request.content_type) as stream:

            def forward(data: Chunk) -> None:
                stream.append(data)
                progress.add_bytes(len(data))

            sink = _sink(request, forward)
            fields, rows = write_statement(
                Statement.of(statement, plan.run, plan.previous),
                self._results,
                lambda data: sink.write(0, data),
                limits=self._limits,
                cancel=cancel,
                format_=request.format,
                csv=request.csv,
            )
            sink.end(0)
            progress.add_rows(rows)
            stream.flush()
            yield Staged(rows, stream.size, stream.sha256, stream.commit, fields)


def _sink(request: ExportRequest, forward: Callable[[Chunk], None]) -> OrderedSink | CompressingSink:
    compress, head = compressor(request.compression), BOM if request.csv.bom else b""
    assembler = FileAssembler(head) if compress is None else CompressedAssembler(compress, head)
    # Not the one of an array: the process of the statement has written its brackets.
    return compressing(OrderedSink(assembler, forward, count=1, max_waiting_bytes=0))
