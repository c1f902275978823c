"""The task of what DuckDB encodes by itself: ranges, or of a sort all rows between two keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.catalog.manifest import Part
from engine.common.progress import Progress
from engine.execute.executor import Copies, ExecutionContext, run_copies
from engine.execute.file_assembler import assembler_for
from engine.execute.run_files import RunFiles
from engine.runners.ray.messages import Job, Piece
from engine.runners.ray.staged_blocks import PieceStream
from engine.runners.ray.worker_context import cancel_token, exports_of, results_of
from engine.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class RangesTask:
    """Consecutive ranges, each a COPY into the target of its place. ``first`` says that the file begins with them."""

    returns: ClassVar[int] = 1

    first: bool
    parts: tuple[Part, ...]
    statements: tuple[Statement, ...]

    def run(self, job: Job, _: Sequence[object]) -> Piece:
        """Encode and stage. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        files = RunFiles(results_of(job), self.parts, job.published_at)
        statements = [Statement(one.sql, {**job.parameters, **one.parameters}) for one in self.statements]
        return encode(job, statements, files, first=self.first)


def encode(job: Job, statements: Sequence[Statement], files: RunFiles, *, first: bool) -> Piece:
    """Run COPYs into the targets of their places, and stage what they give as a piece of the file.

    Raises LimitExceeded, SourceDamaged, Cancelled or StoreError.
    """
    # The driver ends the file.
    assembler = assembler_for(job.format, bom=job.bom, first=first, last=False)
    context = ExecutionContext(job.settings, cancel_token(), Progress())
    with PieceStream(exports_of(job).join(job.key, job.handle), job.block_sizes) as stream:
        copies = Copies(len(statements), statements.__getitem__)
        rows = run_copies(copies, files, assembler, stream.append, context)
        return stream.finish(rows, assembler.footers)
