"""With a seed, as in `TAILRACE_CASES=50000 TAILRACE_SEED=7 pytest tests/property`, the summary has the cases."""

from collections.abc import Callable, Iterator

import pytest

from tests.property import cases

_PROPERTY = "cases"


@pytest.fixture(autouse=True)
def _told(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Attach the count to the report of the test, which also reaches the summary from a worker."""
    yield
    while cases.TOLD:
        record_property(_PROPERTY, cases.TOLD.pop())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each property."""
    if not cases.LONG:
        return
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "teardown":
                for name, told in report.user_properties:
                    if name == _PROPERTY:
                        terminalreporter.write_line(str(told))
