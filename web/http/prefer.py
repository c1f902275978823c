"""The header ``Prefer`` (RFC 7240): whether a caller would rather come back for the answer."""

import re
from dataclasses import dataclass

_WAIT = re.compile(r'wait="?(\d{1,5})"?', re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Preference:
    """``wait`` is how many seconds the caller waits before a 202; None is as long as it takes."""

    wait: int | None = None

    @property
    def applied(self) -> str:
        """What to say in ``Preference-Applied``."""
        return "respond-async" if not self.wait else f"respond-async, wait={self.wait}"


def parse_prefer(values: list[str]) -> Preference:
    """The preference of a request; what is unknown or malformed is ignored, as the RFC asks."""
    preferences = [part.strip() for value in values for part in value.split(",")]
    waits = [int(found[1]) for part in preferences if (found := _WAIT.fullmatch(part))]
    if waits:
        return Preference(waits[0])
    return Preference(0 if any(part.lower() == "respond-async" for part in preferences) else None)
