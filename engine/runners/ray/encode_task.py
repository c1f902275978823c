"""The task that lets DuckDB encode a segment of the file, and stages it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.catalog.manifest import Part
from engine.common.progress import Progress
from engine.execute.assemblers import assembler_for
from engine.execute.executor import Copies, ExecutionContext, run_copies
from engine.execute.row_group_copy import RowGroupCopy
from engine.execute.run_files import RunFiles
from engine.runners.ray.messages import Job, Segment
from engine.runners.ray.staged_blocks import SegmentWriter
from engine.runners.ray.worker_context import cancel_token, exports_of, results_of
from engine.sql.statements import Statement


@dataclass(frozen=True, slots=True)
class RangesTask:
    """Consecutive ranges: the n-th is written to ``target_of(n)``. ``first`` if the file begins with them.

    ``hand_over`` if the driver needs their bytes.
    """

    returns: ClassVar[int] = 1

    first: bool
    parts: tuple[Part, ...]
    statements: tuple[Statement | RowGroupCopy, ...]
    hand_over: bool = True

    def run(self, job: Job, _: Sequence[object]) -> Segment:
        """Encode and stage. Raises LimitExceeded, SourceDamaged, Cancelled or StoreError."""
        files = RunFiles(results_of(job), self.parts, job.published_at)
        statements = [
            one if isinstance(one, RowGroupCopy) else Statement(one.sql, {**job.parameters, **one.parameters})
            for one in self.statements
        ]
        return encode(job, statements, files, first=self.first, hand_over=self.hand_over)


def encode(
    job: Job, statements: Sequence[Statement | RowGroupCopy], files: RunFiles, *, first: bool, hand_over: bool
) -> Segment:
    """Run COPYs and copies, the n-th into ``target_of(n)``, and stage what they write as a segment of the file.

    Raises LimitExceeded, SourceDamaged, Cancelled or StoreError.
    """
    # The driver writes the end of the file.
    assembler = assembler_for(job.format, job.compression, bom=job.bom, first=first, last=False)
    context = ExecutionContext(job.settings, cancel_token(), Progress())
    staging = exports_of(job).join(job.key, job.handle)
    with SegmentWriter(staging, job.block_tiers, hand_over=hand_over) as writer:
        copies = Copies(len(statements), statements.__getitem__)
        rows = run_copies(copies, files, assembler, writer.append, context)
        return writer.finish(rows, assembler.footers)
