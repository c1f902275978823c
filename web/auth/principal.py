"""The authenticated caller."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """A team, and the credentials that stand for it: ``caller`` is the id of a key or the ``sub`` of a token.

    All credentials allow reading; with ``may_publish`` they also allow publishing and deleting.
    """

    team: str
    via: Literal["key", "token"]
    caller: str
    may_publish: bool = False
