"""The rows of tests/faults/README.md."""

from dataclasses import dataclass

NEXT = "nothing; the next export works"
WHOLE = "the whole file"


@dataclass(frozen=True)
class Told:
    """One row: what the caller saw, and what was left."""

    saw: str
    left: str


def rows(faults: dict[str, Told], test: str) -> list[str]:
    """The rows of faults that one test goes through."""
    return [f"| {name} | {told.saw} | {told.left} | `{test}` |" for name, told in faults.items()]
