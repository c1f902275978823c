"""The findings of ``tailrace doctor``."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Only problems affect the exit code."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, what was found, and (except for ``ok``) what to do."""

    area: str
    level: Level
    text: str
    remedy: str = ""


def ok(area: str, text: str) -> Finding:
    """A check that passed."""
    return Finding(area, Level.OK, text)


def note(area: str, text: str, remedy: str) -> Finding:
    """Something that works but that an operator may want to know."""
    return Finding(area, Level.NOTE, text, remedy)


def problem(area: str, text: str, remedy: str) -> Finding:
    """Something that does not work, or will fail for some requests."""
    return Finding(area, Level.PROBLEM, text, remedy)
