"""Markers: the document at the root of a store that identifies it.

The mount point of a volume that is not mounted looks like an empty store, so a store without its marker is unavailable
rather than empty. The markers of a results store and an exports store name each other, so that stores of two
deployments are not mixed. Their keys begin with ``_``, which no id does, so that no list of workflows or exports has
them.
"""

from typing import Literal

from engine.stores.documents import Document, Documents
from engine.stores.port import ObjectStore

Role = Literal["results", "exports"]

MARKER_KEYS: dict[Role, str] = {"results": "_tailrace-results.json", "exports": "_tailrace-exports.json"}
"""Both markers may be in the same store."""


SHORT_LIVED = "_tailrace/"
"""The prefix, in either store, of what is of no use after a day: probes of `tailrace doctor`, documents of replicas."""


class Marker(Document):
    """The id of a store, and the id of the other store of the pair."""

    format_version: Literal[1] = 1
    role: Role
    store_id: str
    peer_id: str

    def belongs_at(self, key: str) -> bool:
        """Whether the key is that of the marker's role."""
        return key == MARKER_KEYS[self.role]


def markers(store: ObjectStore) -> Documents[Marker]:
    """The markers in a store."""
    return Documents(store, Marker)
