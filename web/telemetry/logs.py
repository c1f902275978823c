"""Logs as JSON, one object a line: what a machine can count, and a person can still read."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from engine.common.redaction import redacted_traceback

LOG = logging.getLogger("tailrace")


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``event``, then the record's own facts; a stack only where something is our fault."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            _, error, _ = record.exc_info
            line["stack"] = "" if error is None else redacted_traceback(error)
        # ASCII: nothing that a caller sent can break a line or fool a terminal.
        return json.dumps(line, default=str)


def set_up() -> None:
    """Send the service's log to standard error, once per process; with it, in its form, what libraries have to say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    # Theirs would quote the errors that they pass on.
    logging.getLogger().handlers[:] = [handler]


def tell(event: str, facts: Mapping[str, object]) -> None:
    """One line of what happened."""
    LOG.info(event, extra={"facts": dict(facts)})


def since(started: float) -> float:
    """Seconds since a moment of the monotonic clock, to the tenth of a millisecond."""
    return round(time.monotonic() - started, 4)
