"""SQL that people type, over one run: in a process of its own that can open no file, reach no host, and is thrown away.

DuckDB is no security boundary, its memory limit bounds only its buffers, and it does not always hear an interrupt. So
the process has limits of the kernel, reads the parts of the run through a pipe to us, and is killed when its time is
up.
"""

from engine.query.sandbox.client import LONGEST_SQL_BYTES, MOST_ROWS, Answer, ChildCrashed, Limits, ask, prepare

__all__ = ["LONGEST_SQL_BYTES", "MOST_ROWS", "Answer", "ChildCrashed", "Limits", "ask", "prepare"]
