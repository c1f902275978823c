"""The finished exports of a workflow, the newest first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.common.concurrency import read_all
from engine.errors import DocumentDamaged
from engine.exports.export import is_export, read_metadata
from engine.exports.leases import Leases
from engine.exports.tombstones import SUFFIX as TOMBSTONE
from engine.request.formats import FORMATS, Format
from engine.stores.documents import log_damage
from engine.stores.port import ObjectInfo, ObjectStore


@dataclass(frozen=True, slots=True)
class PastExport:
    """A finished export. ``size`` is in bytes; ``request`` the parameters that differ from their defaults.

    ``request`` is None if they were too long to be stored, or if an older version made the export.
    """

    export_id: str
    run_id: str
    format: Format
    rows: int
    size: int
    sha256: str | None
    crc64nvme: str | None
    created_at: datetime
    retained_until: datetime
    request: Mapping[str, object] | None


class ExportHistory:
    """Lists finished exports. Methods raise StoreError."""

    def __init__(self, exports: ObjectStore) -> None:
        self._exports = exports
        self._leases = Leases(exports)

    def page(self, workflow_id: str, offset: int, limit: int) -> tuple[list[PastExport], int]:
        """The exports from ``offset`` on, at most ``limit``, and the number of all. ``workflow_id`` must be valid.

        Exports that are gone or marked for deletion by the time they are read are left out of the page.
        """
        listed = list(self._exports.list(f"{workflow_id}/"))
        deleted = {info.key.removesuffix(TOMBSTONE) for info in listed if info.key.endswith(TOMBSTONE)}
        files = [info for info in listed if is_export(info.key) and info.key.partition(".")[0] not in deleted]
        files.sort(key=lambda info: (info.modified, info.key), reverse=True)
        return self._read(files[offset : offset + limit]), len(files)

    def _read(self, files: Sequence[ObjectInfo]) -> list[PastExport]:
        found = read_all(self._exports.head, [info.key for info in files])
        return [past for info in found if (past := self._past(info)) is not None]

    def _past(self, info: ObjectInfo) -> PastExport | None:
        try:
            metadata = read_metadata(info)
        except DocumentDamaged as error:
            log_damage(error)
            return None
        until = self._leases.until(info.key, info.etag, metadata.until or info.modified)
        if until is None:
            return None
        return PastExport(
            export_id=info.key.partition("/")[2].partition(".")[0],
            run_id=metadata.run,
            format=FORMATS[metadata.format],
            rows=int(metadata.rows),
            size=info.size,
            sha256=metadata.sha256,
            crc64nvme=metadata.crc64nvme,
            created_at=info.modified,
            retained_until=until,
            request=None if metadata.request is None else json.loads(metadata.request),
        )
