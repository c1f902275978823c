"""The sidecar of a file in a directory store: content type, metadata and expected size."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from engine.common.json_depth import loads_within
from engine.stores.local.durable_files import make_directory, sync_directory, write_new

_LOG = logging.getLogger("tailrace")
_FORMAT_VERSION = 1
_MAX_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Content type and metadata of an object, and the sizes that its file may have (empty: any).

    The sidecar of a replacement has the old and the new size and is written before the data file is moved, so that the
    object is readable with whichever file a crash leaves.
    """

    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The sidecar at ``path``; the default one if it is damaged, or missing for another program's file.

        The object is readable without its sidecar, but has no metadata.
        """
        try:
            content = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return cls()
        try:
            return cls._parsed(loads_within(content, _MAX_DEPTH))
        except (ValueError, TypeError, KeyError) as error:
            _LOG.warning("Ignored a damaged metadata file: %s (%s).", path, type(error).__name__)
            return cls()

    @classmethod
    def _parsed(cls, fields: object) -> Self:
        if not isinstance(fields, dict):
            raise TypeError("not an object")
        if fields.get("format_version", 1) != _FORMAT_VERSION:
            raise ValueError("another format version")
        content_type, metadata, sizes = fields["content_type"], fields["metadata"], fields["sizes"]
        if not (
            isinstance(content_type, str)
            and isinstance(metadata, dict)
            and all(isinstance(value, str) for value in metadata.values())
            and isinstance(sizes, list)
            and all(isinstance(size, int) for size in sizes)
        ):
            raise TypeError("a member has the wrong type")
        return cls(content_type, metadata, tuple(sizes))

    def write(self, path: Path, staging: Path) -> None:
        """Write the sidecar to ``path``, atomically and durably, by way of a file in ``staging``."""
        staged = staging / "sidecar.json"
        write_new(staged, json.dumps({"format_version": _FORMAT_VERSION, **asdict(self)}).encode())
        make_directory(path.parent)
        staged.replace(path)
        sync_directory(path.parent)

    def fits(self, size: int) -> bool:
        """Whether a file of that size can be a version of the object."""
        return not self.sizes or size in self.sizes
