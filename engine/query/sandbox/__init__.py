"""Run callers' SQL over one run, each statement in a process that can open no file, reach no host and is discarded.

DuckDB is not a security boundary, its memory limit covers only its buffers, and it does not always react to an
interrupt. Therefore the kernel limits the process, which reads the parts of the run through a pipe to the service and
is killed at its timeout.
"""

from engine.query.sandbox.client import (
    MAX_ROWS,
    MAX_SQL_BYTES,
    ChildCrashed,
    Limits,
    StatementResult,
    prepare,
    run_statement,
)

__all__ = ["MAX_ROWS", "MAX_SQL_BYTES", "ChildCrashed", "Limits", "StatementResult", "prepare", "run_statement"]
