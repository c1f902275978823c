"""What a check of ``tailrace doctor`` has to say."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Only problems count for the exit code."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, and for all but ``ok`` what to do."""

    area: str
    level: Level
    text: str
    remedy: str = ""


def ok(area: str, text: str) -> Finding:
    """As it should be."""
    return Finding(area, Level.OK, text)


def note(area: str, text: str, remedy: str) -> Finding:
    """It works, and an operator may want to know."""
    return Finding(area, Level.NOTE, text, remedy)


def problem(area: str, text: str, remedy: str) -> Finding:
    """It does not work, or would fail somebody."""
    return Finding(area, Level.PROBLEM, text, remedy)
