"""Markers: the document at the root of a store that says which store it is.

An empty directory where a volume should be mounted looks like a store without objects. So a store without its marker is
unavailable, not empty. The markers of results and exports name each other, which tells when one of them is another
deployment's. Their keys begin with ``_``, as no id does: no list of workflows or exports has them.
"""

from typing import Literal

from engine.stores.documents import Document, Documents
from engine.stores.port import ObjectStore

Role = Literal["results", "exports"]

MARKER_KEYS: dict[Role, str] = {"results": "_tailrace-results.json", "exports": "_tailrace-exports.json"}
"""Both may lie in one store."""


class Marker(Document):
    """Which store this is: its own id, and the id of the other store of the pair."""

    format_version: Literal[1] = 1
    role: Role
    store_id: str
    peer_id: str

    def belongs_at(self, key: str) -> bool:
        """Whether the key is that of the role."""
        return key == MARKER_KEYS[self.role]


def markers(store: ObjectStore) -> Documents[Marker]:
    """The markers in a store."""
    return Documents(store, Marker)
