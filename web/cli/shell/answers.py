"""Runs a statement and writes its answer."""

from collections.abc import Iterable, Iterator
from itertools import islice

from engine.errors import InvalidRequest
from engine.query.inspect.session import Inspection, Values
from engine.query.inspect.statements import Kind, Statement
from web.cli.shell.drawing import Screen
from web.cli.shell.handover import Emit, Write, run_statement
from web.cli.shell.modes import Mode

_LINES = 1_000
"""Lines that are written at once."""


def write_answer(
    inspection: Inspection, statement: Statement, values: Values, mode: Mode, write: Write, screen: Screen | None = None
) -> None:
    """Run a statement, with ``values`` for its parameters, and write its rows or plan; a change has no answer.

    Without a ``screen`` every row and column is written, while the statement runs. Raises InvalidRequest,
    LimitExceeded, Cancelled, SourceDamaged, StoreUnavailable, and what ``write`` raises.
    """

    def work(emit: Emit) -> None:
        if statement.kind is Kind.ROWS and mode.format is not None:
            inspection.write(statement.text, mode.format, emit, values)
            return
        for block in _blocks(_lines(inspection, statement, values, mode, screen)):
            emit(block)

    run_statement(inspection, work, write)


def _lines(
    inspection: Inspection, statement: Statement, values: Values, mode: Mode, screen: Screen | None
) -> Iterator[str]:
    if statement.kind is Kind.PLAN:
        if mode.drawing is None:
            raise InvalidRequest(f"EXPLAIN has no {mode.name}: use box, line or markdown.", parameter="query")
        yield inspection.plan(statement, values)
        return
    rows = inspection.rows(statement, values)
    if rows.names:
        if mode.drawing is None:
            raise InvalidRequest(
                f"The statement has run, but RETURNING has no {mode.name}: use box, line or markdown.",
                parameter="query",
            )
        yield from mode.drawing(rows, screen)


def _blocks(lines: Iterable[str]) -> Iterator[bytes]:
    remaining = iter(lines)
    while block := [*islice(remaining, _LINES)]:
        yield "".join(f"{line}\n" for line in block).encode()
