"""The form of the log for people."""

import logging
import re

from web.telemetry.logs import TextLines


def _line(event: str, level: int = logging.INFO, **fields: object) -> str:
    record = logging.LogRecord("tailrace", level, "", 0, event, None, None)
    record.fields = fields
    return TextLines().format(record)


def test_a_request_is_one_line_that_begins_with_what_was_asked() -> None:
    line = _line(
        "request", requestId="r1", method="GET", route="/healthz", status=200, seconds=0.0123, sent=7, caller=None
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /healthz 200 0\.012 s sent=7", line)


def test_other_events_have_their_level_and_fields() -> None:
    line = _line("unknown setting", logging.WARNING, name="TAILRACE_THREDS", use=["a", "b c"])
    assert line[9:] == 'warning unknown setting name=TAILRACE_THREDS use=["a", "b c"]'


def test_no_text_of_a_caller_moves_the_cursor_or_starts_a_line() -> None:
    line = _line("Skipped \x1b[2Ja\nb.", workflow="w\x1b[31m\u2028\x9b")
    assert line.isascii()
    assert line.isprintable()
