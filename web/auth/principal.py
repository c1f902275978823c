"""Who is asking, once that is known."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """A team, how its credentials came, and which they were: the id of a key, or the ``sub`` of a token.

    ``may_publish``: whether they also allow publishing and deleting; all allow reading.
    """

    team: str
    via: Literal["key", "token"]
    caller: str
    may_publish: bool = False
