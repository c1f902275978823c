"""Logs as JSON, one object a line."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from engine.common.redaction import redacted_traceback

LOG = logging.getLogger("tailrace")
_LOGGED = "tailrace.logged"
"""Marks an exception that is in the log."""


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``event``, then the record's ``fields``; a ``stack`` only for unexpected errors."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            _, error, _ = record.exc_info
            line["stack"] = "" if error is None else redacted_traceback(error)
        # ASCII only: callers' text can neither break a line nor send control sequences to a terminal.
        return json.dumps(line, default=str)


def set_up() -> None:
    """Send all logs of the process, those of libraries included, to standard error as JSON. Call it once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    # The default format of libraries would quote the errors that they log.
    logging.getLogger().handlers[:] = [handler]
    # uvicorn logs each exception that it closes a connection for.
    logging.getLogger("uvicorn.error").addFilter(_is_new)


def log_event(event: str, fields: Mapping[str, object]) -> None:
    """Log an event at level INFO."""
    LOG.info(event, extra={"fields": dict(fields)})


def log_failure(error: Exception, request_id: str) -> None:
    """Log an unexpected exception with its stack, once, however many callers and libraries report it."""
    if _LOGGED not in vars(error):
        vars(error)[_LOGGED] = True
        LOG.error("failed", exc_info=error, extra={"fields": {"requestId": request_id}})


def _is_new(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return error is None or _LOGGED not in vars(error)


def since(started: float) -> float:
    """Seconds since ``started`` on the monotonic clock, rounded to 0.1 ms."""
    return round(time.monotonic() - started, 4)
