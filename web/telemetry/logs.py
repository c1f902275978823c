"""Logs: one JSON object a line, or on a terminal one sentence a line."""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from engine.common.redaction import redacted_traceback

LOG = logging.getLogger("tailrace")
_LOGGED = "tailrace.logged"
"""Marks an exception that is in the log."""
_WORD = re.compile(r"[!#-~]+")
_PLAIN = re.compile(r"[^ -~]")


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


class TextLines(logging.Formatter):
    """For people: the time, the event, then its fields; a request begins with its method, route, status and time."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line; the stack of an unexpected error follows it."""
        fields = {name: value for name, value in getattr(record, "fields", {}).items() if value is not None}
        words = [datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")]
        if record.levelno > logging.INFO:
            words.append(record.levelname.lower())
        event = record.getMessage().strip()
        if event == "request":
            words.append(f"{fields.pop('method')} {fields.pop('route', '?')} {fields.pop('status')}")
            words.append(f"{fields.pop('seconds'):.3f} s")
            fields.pop("requestId")
        else:
            words.append(_PLAIN.sub(lambda found: json.dumps(found[0])[1:-1], event))
        words += [f"{name}={_word(value)}" for name, value in fields.items()]
        text = " ".join(words)
        if record.exc_info and record.exc_info[1] is not None:
            text += f"\n{redacted_traceback(record.exc_info[1])}"
        return text


def _word(value: object) -> str:
    """A value without spaces, or as JSON: callers' text cannot send control sequences to a terminal."""
    if not isinstance(value, str):
        return json.dumps(value, default=str)
    return value if _WORD.fullmatch(value) else json.dumps(value)


def set_up(form: Literal["auto", "json", "text"] = "auto") -> None:
    """Send all logs of the process, those of libraries included, to standard error. Call it once.

    ``auto`` is ``text`` on a terminal and ``json`` elsewhere.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextLines() if text else JsonLines())
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
