"""Reduce a failing case: remove columns, rows and parts of the request while it still fails."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from engine.request.request import CsvOptions
from tests.property.datasets import Dataset
from tests.property.requests import GeneratedRequest
from tests.property.sending import Sending

Fails = Callable[[Dataset, GeneratedRequest], bool]


def reduce(
    data: Dataset, asked: GeneratedRequest, fails: Fails, attempts: int = 300
) -> tuple[Dataset, GeneratedRequest]:
    """Return the smallest failing case found."""
    found = True
    while found:
        found = False
        for smaller in _smaller(data, asked):
            attempts -= 1
            if attempts < 0:
                return data, asked
            if fails(*smaller):
                (data, asked), found = smaller, True
                break
    return data, asked


def _smaller(data: Dataset, asked: GeneratedRequest) -> Iterator[tuple[Dataset, GeneratedRequest]]:
    if data.of_changes:
        # These rows were not published as they are.
        yield from ((data, simpler) for simpler in _simpler(asked) if simpler != asked)
        return
    size = len(data.rows) // 2
    while size:
        for first in range(0, len(data.rows), size):
            yield replace(data, rows=data.rows[:first] + data.rows[first + size :]), asked
        size //= 2
    yield from ((data, simpler) for simpler in _simpler(asked) if simpler != asked)
    for name in data.columns:
        if len(data.columns) > 1 and name != data.row_id:
            columns = {other: shape for other, shape in data.columns.items() if other != name}
            rows = [{other: row[other] for other in columns} for row in data.rows]
            yield replace(data, columns=columns, rows=rows), asked
    yield from ((replace(data, files=1), asked) for _ in range(data.files > 1))
    yield from ((replace(data, group_rows=1000), asked) for _ in range(data.group_rows < 1000))


def _simpler(asked: GeneratedRequest) -> Iterator[GeneratedRequest]:
    for index, entry in enumerate(asked.filters):
        before, after = asked.filters[:index], asked.filters[index + 1 :]
        yield replace(asked, filters=before + after)
        if isinstance(entry.get("value"), list):
            for nth in range(len(entry["value"])):
                shorter = entry | {"value": entry["value"][:nth] + entry["value"][nth + 1 :]}
                yield replace(asked, filters=(*before, shorter, *after))
    yield replace(asked, sort_by=None, descending=False)
    yield replace(asked, descending=False)
    yield replace(asked, row_ids=None)
    for nth in range(len(asked.row_ids or ()) if len(asked.row_ids or ()) > 1 else 0):
        yield replace(asked, row_ids=(asked.row_ids or ())[:nth] + (asked.row_ids or ())[nth + 1 :])
    yield replace(asked, include_row_ids=False)
    yield replace(asked, fields=None)
    for nth in range(len(asked.fields or ()) if len(asked.fields or ()) > 1 else 0):
        yield replace(asked, fields=(asked.fields or ())[:nth] + (asked.fields or ())[nth + 1 :])
    yield replace(asked, flatten=False)
    yield replace(asked, compression="none")
    yield replace(asked, csv=CsvOptions())
    yield replace(asked, expires_in=None)
    yield replace(asked, sending=Sending())
