"""The rows of a run and the result of a request over it, in plain Python."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.helpers.engine import NOW
from tests.helpers.files import Row, csv_cell, read_csv_cells, read_json, read_parquet
from tests.helpers.operator_oracle import matching_rows, sorted_rows

_WORDS = ("mug", "lamp", "chair", "größe", 'a "quoted", one', "two\nlines", "100%", "")
FORMATS = ("csv", "json", "parquet")


def rows_of(count: int) -> list[Row]:
    """The rows of a run of that size; always the same."""
    chance = random.Random(count)
    return [
        {
            "id": number,
            "word": None if chance.random() < 0.1 else chance.choice(_WORDS),
            "score": None if number and chance.random() < 0.2 else chance.randrange(4000) / 4,
            "text": f"{number * 7919 % 100_003} of {count}",
        }
        for number in range(count)
    ]


@dataclass(frozen=True)
class Request:
    """An export request for any run. A value of ``above`` that no other request has makes it another export."""

    format: str
    word: str | None = None
    operator: str = "EQUALS"
    above: int = -1
    sort_by: str | None = None
    descending: bool = False

    @classmethod
    def draw(cls, chance: random.Random) -> "Request":
        """Choose one of a few hundred requests."""
        return cls(
            format=chance.choice(FORMATS),
            word=chance.choice((None, None, *_WORDS[:5])),
            operator=chance.choice(("EQUALS", "NOT_EQUALS", "CONTAINS", "NOT_CONTAINS")),
            above=chance.choice((-1, -1, 10, 90)),
            sort_by=chance.choice((None, None, "word", "score", "text")),
            descending=chance.random() < 0.5,
        )

    @property
    def filters(self) -> list[dict[str, object]]:
        """The value of the parameter ``filters``."""
        found: list[dict[str, object]] = [{"field": "id", "operator": "GREATER_THAN", "value": self.above}]
        if self.word is not None:
            found.append({"field": "word", "operator": self.operator, "value": self.word})
        return found

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of the query."""
        order = {} if self.sort_by is None else {"sortBy": self.sort_by, "order": "desc" if self.descending else "asc"}
        return {"format": self.format, "filters": self.filters, **order}

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of the result, in order."""
        found = matching_rows(rows, self.filters, NOW)
        return found if self.sort_by is None else sorted_rows(found, self.sort_by, descending=self.descending)

    def fits(self, content: bytes, rows: Sequence[Row]) -> bool:
        """Whether a file has exactly the expected cells."""
        wanted = self.rows(rows)
        if self.format == "json":
            return read_json(content) == wanted
        if self.format == "parquet":
            return read_parquet(content) == wanted
        header, cells = read_csv_cells(content)
        return header == list(rows[0]) and cells == [[csv_cell(value) for value in row.values()] for row in wanted]


@dataclass(frozen=True)
class Promise:
    """What an answer promised: the URL returns these bytes until it expires."""

    url: str
    sha256: str
    size: int
    expires: float
    workflow: str
    export_id: str

    @classmethod
    def of(cls, body: dict[str, Any], expires: float) -> "Promise":
        """Read it from the body of an answer."""
        return cls(body["url"], body["sha256"], body["sizeBytes"], expires, body["workflowId"], body["exportId"])
