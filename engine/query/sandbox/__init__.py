"""Run callers' SQL over runs of a workflow, each statement in a process without files or hosts that is then discarded.

DuckDB is not a security boundary, its memory limit covers only its buffers, and it does not always react to an
interrupt. Therefore the kernel limits the process, which reads the parts of the run through a pipe to the service and
is killed at its timeout.
"""

from engine.query.sandbox.client import (
    MAX_ROWS,
    ChildCrashed,
    Limits,
    Statement,
    StatementResult,
    prepare,
    run_statement,
)

__all__ = [
    "MAX_ROWS",
    "ChildCrashed",
    "Limits",
    "Statement",
    "StatementResult",
    "prepare",
    "run_statement",
]
