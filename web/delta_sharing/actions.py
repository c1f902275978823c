"""The lines of an answer about a table, in the protocol's two formats."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from engine.exports.export import Export
from web.delta_sharing.schema import schema_string
from web.delta_sharing.snapshot import Snapshot
from web.delta_sharing.statistics import statistics_of

MEDIA_TYPE = "application/x-ndjson; charset=utf-8"
_Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class File:
    """The file of a table, and its URL."""

    export: Export
    url: str
    expires_at: datetime


def encode_lines(lines: Iterable[_Line]) -> bytes:
    """Encode the lines."""
    return b"".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for line in lines)


def head_lines(snapshot: Snapshot, name: str, response_format: str, *, past: bool) -> list[_Line]:
    """The protocol and the metadata of a table. ``past``: whether the request asks for a certain version."""
    table: _Line = {
        "id": snapshot.table,
        "name": name,
        "format": {"provider": "parquet"},
        "schemaString": schema_string(snapshot.run.table.columns),
        "partitionColumns": [],
        "configuration": {},
    }
    common = {"accessModes": ["url"], **({"version": snapshot.version} if past else {})}
    if response_format == "delta":
        protocol: _Line = {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
        # Required in Delta's own metadata.
        table["format"] = {"provider": "parquet", "options": {}}
        return [{"protocol": protocol}, {"metaData": {"deltaMetadata": table, **common}}]
    return [{"protocol": {"minReaderVersion": 1}}, {"metaData": table | common}]


def file_line(snapshot: Snapshot, file: File, response_format: str, *, past: bool) -> _Line:
    """The file of a table."""
    published = _milliseconds(snapshot.at)
    size = file.export.size
    common: _Line = {
        "id": file.export.export_id,
        "size": size,
        "expirationTimestamp": _milliseconds(file.expires_at),
        **({"version": snapshot.version, "timestamp": published} if past else {}),
    }
    content: _Line = {"partitionValues": {}, "stats": statistics_of(snapshot.run)}
    if response_format == "delta":
        add = {"path": file.url, "size": size, "modificationTime": published, "dataChange": True, **content}
        return {"file": common | {"deltaSingleAction": {"add": add}}}
    return {"file": common | {"url": file.url} | content}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
