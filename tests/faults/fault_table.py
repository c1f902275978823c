"""The rows of the tables of faults in README.md."""

from dataclasses import dataclass

NEXT = "nothing; the next export works"
WHOLE = "the whole file"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a fault: what the caller saw, and what was left."""

    seen: str
    left: str


def table_rows(faults: dict[str, Outcome], test: str) -> list[str]:
    """The rows of the faults that one test tries."""
    return [f"| {fault} | {outcome.seen} | {outcome.left} | `{test}` |" for fault, outcome in faults.items()]
