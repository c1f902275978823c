"""The header ``Prefer`` (RFC 7240): whether the caller wants an asynchronous export."""

import re
from dataclasses import dataclass

_WAIT = re.compile(r'wait="?(\d{1,5})"?', re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Preference:
    """``wait`` is how many seconds the caller waits before it gets a 202; None means until the export is finished."""

    wait: int | None = None

    @property
    def applied(self) -> str:
        """The value of ``Preference-Applied``."""
        return "respond-async" if not self.wait else f"respond-async, wait={self.wait}"


def parse_prefer(values: list[str]) -> Preference:
    """Parse the headers of a request; unknown and malformed preferences are ignored, as the RFC requires."""
    # What follows a semicolon are parameters of a preference; none is known.
    preferences = [part.partition(";")[0].strip() for value in values for part in value.split(",")]
    waits = [int(found[1]) for part in preferences if (found := _WAIT.fullmatch(part))]
    if waits:
        return Preference(waits[0])
    return Preference(0 if any(part.lower() == "respond-async" for part in preferences) else None)
