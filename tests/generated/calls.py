"""Every operation of the OpenAPI document: a call of it and the result, the same for each generated client."""

import re
from dataclasses import dataclass, field
from typing import Any

RUNS: dict[str, list[dict[str, Any]]] = {
    "r1": [{"sku": "a", "price": 1}, {"sku": "b", "price": 2}, {"sku": "c", "price": 3}],
    "r2": [{"sku": "b", "price": 2}, {"sku": "c", "price": 4}, {"sku": "d", "price": 5}],
}
"""The runs of the workflow ``shop``, whose row ids are ``sku``."""

FINISHED, UNWANTED = "the exportId of all rows as CSV", "the exportId of the rows that are deleted"
RUNNING = "the exportId of a sheet that the store does not take"
"""They stand for the ids of three exports of the latest run."""


@dataclass(frozen=True)
class Call:
    """``result`` is a text that is the body, a pattern of all of it, or its members that count (``...``: any value)."""

    operation: str
    result: Any
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | list[dict[str, Any]] | None = None
    """A list is rows to publish."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the answer that count."""


_CSV = '"sku",price\nb,2\nc,4\nd,5\n'
_PARQUET = re.compile("PAR1.+PAR1", re.DOTALL)
_SHOP = {"workflowId": "shop"}
_FILE = {**_SHOP, "exportId": FINISHED}
_NAMED = {**_FILE, "fileName": "shop.csv"}
_R1 = {**_SHOP, "runId": "r1"}
_EXPORT = {"workflowId": "shop", "runId": "r2", "rowCount": 3, "url": ..., "expiresAt": ..., "sha256": ...}
_WORKFLOW = {"id": "shop", "name": "shop", "state": "ACTIVE", "publishedJobId": "r2", "totalRecords": 3}
_COUNTS = {"added": 1, "changed": 1, "removed": 1}
_CHANGED = [{"name": "price", "rows": 1}]
_CHANGE = {"id": "shop:r2", "sinceRunId": "r1", "differencesCounts": _COUNTS, "changedColumns": _CHANGED}
_CHANGES = {"changesCount": 1, "changes": [_CHANGE], "pagination": {"totalCount": 1, "limit": 5}}
_SHARE = {"share": "acme"}
_SCHEMA = {**_SHARE, "schema": "default"}
_TABLE = {**_SCHEMA, "table": "shop"}
_VERSION = {"delta-table-version": "2"}
_TABLES = {"items": [{"name": "shop", "schema": "default", "share": "acme", "id": ...}]}
_METADATA = r'\{"protocol":.+\}\n\{"metaData":.+\}\n'

CALLS = (
    Call("getHealth", "ok\n"),
    Call("headHealth", ""),
    Call("getReadiness", {"results": "ok", "exports": "ok"}),
    Call("headReadiness", ""),
    Call("getMetrics", re.compile("# HELP .+", re.DOTALL)),
    Call("headMetrics", ""),
    Call(
        "publishRun",
        {"workflowId": "made", "runId": "m1", "rowCount": 3},
        {"workflowId": "made"},
        {"runId": "m1", "rowId": "sku", "state": "FINISHED"},
        body=RUNS["r1"],
        status=201,
    ),
    Call("deleteRun", "", {"workflowId": "made", "runId": "m1"}, status=204),
    Call("deleteWorkflow", "", {"workflowId": "made"}, status=204),
    Call("listWorkflows", {"workflows": [_WORKFLOW]}, query={"search": "SHO", "state": "ACTIVE", "limit": 5}),
    Call("getWorkflow", {**_WORKFLOW, "runCount": 2, "schema": ..., "runs": ...}, _SHOP),
    Call("getWorkflowHistory", {"totalCount": 2, "workflowRuns": ...}, _SHOP, {"page": 1, "status": "success"}),
    Call("getJob", {"id": "r1", "workflowId": "shop", "state": "FINISHED", "records": 3}, _R1),
    Call(
        "getWorkflowData",
        {"runId": "r2", "data": [RUNS["r2"][2]], "pagination": {"totalCount": 2}},
        _SHOP,
        {
            "filters": '[{"field":"price","operator":"GREATER_THAN","value":2}]',
            "sortBy": "price",
            "order": "desc",
            "limit": 1,
        },
    ),
    Call(
        "getWorkflowDataByBody",
        {"runId": "r2", "data": [RUNS["r2"][2]], "pagination": {"totalCount": 2, "limit": 1}},
        _SHOP,
        body={
            "filters": [{"field": "price", "operator": "GREATER_THAN", "value": 2}],
            "sortBy": "price",
            "order": "desc",
            "limit": 1,
        },
    ),
    Call("getWorkflowParquet", _PARQUET, _SHOP, {"runId": "r1"}),
    Call("getColumnFacts", {"rowCount": 3, "nullCount": 0, "minimum": "2", "maximum": "5"}, _SHOP, {"field": "price"}),
    Call(
        "getColumnFactsByBody",
        {"rowCount": 1, "minimum": "4", "maximum": "4"},
        _SHOP,
        body={"field": "price", "rowIds": ["c"]},
    ),
    Call(
        "queryWorkflowData",
        {"rowCount": 1, "rows": [{"n": 2}], "limitReached": False},
        _SHOP,
        body={"sql": "SELECT count(*) AS n FROM data WHERE price > $least", "params": {"least": 2}},
    ),
    Call("exportQueryResult", {**_EXPORT, "format": "json"}, _SHOP, body={"sql": "FROM data", "format": "json"}),
    Call(
        "exportWorkflowData",
        {**_EXPORT, "format": "csv", "sinceRunId": "r1"},
        _SHOP,
        {"sinceRunId": "r1", "bom": True, "expiresIn": 60},
        {"Prefer": "wait=60", "x-request-id": "generated"},
        headers={"x-request-id": "generated"},
    ),
    Call(
        "exportWorkflowDataByBody",
        {**_EXPORT, "rowCount": 1, "format": "jsonl", "schema": [{"name": "price", "type": "NUMBER"}]},
        _SHOP,
        body={
            "format": "jsonl",
            "fields": ["price"],
            "rowIds": ["c", "d"],
            "filters": [{"field": "price", "operator": "IN", "value": [1, 4]}],
        },
    ),
    Call("downloadExport", _CSV, _FILE, {"format": "csv"}),
    Call("headExport", "", _FILE, headers={"content-length": str(len(_CSV))}),
    Call(
        "downloadExportByName",
        _CSV[:5],
        _NAMED,
        header={"Range": "bytes=0-4"},
        status=206,
        headers={"content-range": f"bytes 0-4/{len(_CSV)}"},
    ),
    Call("headExportByName", "", _NAMED, header={"If-None-Match": "*"}, status=304),
    Call("getExportStatus", _EXPORT, _FILE),
    Call("cancelExport", {"format": "xlsx", "phase": "running"}, {**_SHOP, "exportId": RUNNING}, status=202),
    Call("cancelExport", {"error": True, "code": "conflict"}, _FILE, status=409),
    Call("listExports", {"workflowId": "shop", "exports": ..., "pagination": {"limit": 2}}, _SHOP, {"limit": 2}),
    Call("deleteExport", "", {**_SHOP, "exportId": UNWANTED}, status=204),
    *(
        call
        for version in ("V5", "V4")
        for call in (
            Call(f"listChanges{version}", _CHANGES, query={"workflowIds": "shop", "limit": 5}),
            Call(f"getChange{version}", _CHANGE, {"changeId": "shop:r2"}),
        )
    ),
    Call("listShares", {"items": [{"name": "acme", "displayName": "acme"}]}, query={"maxResults": 5}),
    Call("getShare", {"share": {"name": "acme", "displayName": "acme"}}, _SHARE),
    Call("listSchemas", {"items": [{"name": "default", "share": "acme"}]}, _SHARE),
    Call("listAllTables", _TABLES, _SHARE),
    Call("listTables", _TABLES, _SCHEMA),
    Call("headTableVersion", "", _TABLE, headers=_VERSION),
    Call("getTableVersion", "", _TABLE, headers=_VERSION),
    Call("getTableMetadata", re.compile(_METADATA), _TABLE, {"version": 1}),
    Call("queryTable", re.compile(_METADATA + r'\{"file":.+\}\n'), _TABLE, body={"limitHint": 1}),
    Call("getTableChanges", {"errorCode": ..., "message": ...}, _TABLE, status=400),
)
