"""The sidecar of a file in a directory store: what a file cannot say of itself."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from engine.common.json_depth import loads_within
from engine.errors import StoreError
from engine.stores.local.durable_files import make_directory, sync_directory, write_new

_MAX_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Content type and metadata of an object, and the sizes its file may have (empty: any).

    A replacement names the size before and the size after, and is written before the data file moves: whichever data
    file a crash leaves, the object stays readable.
    """

    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The sidecar at ``path``, or the default for files that someone else put into the store."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls()
        try:
            fields: Any = loads_within(content, _MAX_DEPTH)
            return cls(fields["content_type"], fields["metadata"], tuple(fields["sizes"]))
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError("The description of an object is damaged.") from error

    def write(self, path: Path, staging: Path) -> None:
        """Put the sidecar at ``path`` whole, by way of a file in ``staging``."""
        staged = staging / "sidecar.json"
        write_new(staged, json.dumps(asdict(self)).encode())
        make_directory(path.parent)
        staged.replace(path)
        sync_directory(path.parent)

    def fits(self, size: int) -> bool:
        """Whether a file of that size can be the object's."""
        return not self.sizes or size in self.sizes
