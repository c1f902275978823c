"""Every read method of the two Kadoa SDKs that has its counterpart here: the call, its requests, and its result.

The other methods of the SDKs are for what does not exist here: crawling, validation, notifications, templates, schemas,
variables, users and billing.
"""

from dataclasses import dataclass, field
from typing import Any

FILTERS = '[{"field":"firmType","operator":"EQUALS","value":"hedge_fund"}]'
_FILTERS_IN_URL = (
    "%5B%7B%22field%22%3A%22firmType%22%2C%22operator%22%3A%22EQUALS%22%2C%22value%22%3A%22hedge_fund%22%7D%5D"
)
COUNT = 4206


@dataclass(frozen=True)
class Rows:
    """Rows of the run in its order, or of those that match `FILTERS` by ``jobTitle`` from z to a."""

    start: int = 0
    stop: int = COUNT
    filtered_and_sorted: bool = False


@dataclass(frozen=True)
class Read:
    """``result`` has the members that count; ``...`` is any value."""

    method: str
    requests: tuple[str, ...]
    result: Any
    arguments: dict[str, Any] = field(default_factory=dict)


_WORKFLOW = {"id": "jobs", "name": "jobs", "state": "ACTIVE", "total_records": COUNT}
_DETAILS = _WORKFLOW | {
    "job_id": "r1",
    "run_state": "FINISHED",
    "started_at": ...,
    "finished_at": ...,
    "var_schema": ...,
}
_RUN = {"id": "r1", "state": "FINISHED", "started_at": ..., "finished_at": ...}
_JOB = {"id": "r1", "workflow_id": "jobs", "state": "FINISHED", "started_at": ..., "finished_at": ...}
_CHANGE = {"id": "jobs:r1", "workflow_id": "jobs", "url": ..., "summary": "2 rows were added, 1 changed and 0 removed."}
_CHANGES = {"changes_count": 1, "changes": [_CHANGE], "pagination": {"total_count": 1}}
_OF_JOBS = {"workflow_id": "jobs"}
_W, _D = "GET /v4/workflows", "GET /v4/workflows/jobs/data"

PYTHON = (
    Read("workflow.list", (_W,), [_WORKFLOW]),
    Read(
        "workflow.list",
        (f"{_W}?search=JOB&skip=0&limit=1&state=ACTIVE",),
        [_WORKFLOW],
        {"search": "JOB", "skip": 0, "limit": 1, "state": "ACTIVE"},
    ),
    Read("workflow.list", (f"{_W}?tags=a&tags=b",), [], {"tags": ["a", "b"]}),
    Read("workflow.get_by_name", (f"{_W}?search=jobs",), _WORKFLOW, {"name": "jobs"}),
    Read("workflow.get_by_name", (f"{_W}?search=nothing",), None, {"name": "nothing"}),
    Read("workflow.get", (f"{_W}/jobs",), _DETAILS, _OF_JOBS),
    Read("workflow.wait", (f"{_W}/jobs",), _DETAILS, _OF_JOBS),
    Read("workflow.get_job_status", (f"{_W}/jobs/jobs/r1",), _JOB, {**_OF_JOBS, "job_id": "r1"}),
    Read("workflow.wait_for_job_completion", (f"{_W}/jobs/jobs/r1",), _JOB, {**_OF_JOBS, "job_id": "r1"}),
    Read(
        "extraction.fetch_data",
        (f"{_D}?page=1&limit=100",),
        {
            "data": Rows(0, 100),
            "run_id": "r1",
            "pagination": {"total_count": COUNT, "page": 1, "total_pages": 43, "limit": 100},
        },
        _OF_JOBS,
    ),
    Read(
        "extraction.fetch_data",
        (f"{_D}?runId=r1&sortBy=jobTitle&order=desc&filters={_FILTERS_IN_URL}&page=2&limit=3&includeAnomalies=true",),
        {"data": Rows(3, 6, filtered_and_sorted=True), "pagination": {"page": 2, "limit": 3}},
        {
            **_OF_JOBS, "run_id": "r1", "sort_by": "jobTitle", "order": "desc", "filters": FILTERS,
            "page": 2, "limit": 3, "include_anomalies": True,
        },
    ),
    Read(
        "extraction.fetch_all_data",
        (f"{_D}?page=1&limit=2000", f"{_D}?page=2&limit=2000", f"{_D}?page=3&limit=2000"),
        Rows(),
        {**_OF_JOBS, "limit": 2000},
    ),
    Read(
        "extraction.fetch_data_pages",
        (f"{_D}?page=1&limit=3000", f"{_D}?page=2&limit=3000"),
        [{"data": Rows(0, 3000)}, {"data": Rows(3000)}],
        {**_OF_JOBS, "limit": 3000},
    ),
    Read("api.v4_workflows_get", (f"{_W}?limit=1",), {"workflows": [_WORKFLOW], "pagination": ...}, {"limit": 1}),
    Read("api.v4_workflows_workflow_id_get", (f"{_W}/jobs",), _DETAILS, _OF_JOBS),
    Read(
        "api.v4_workflows_workflow_id_history_get",
        (f"{_W}/jobs/history",),
        {"workflow_id": "jobs", "workflow_runs": [{**_RUN, "records": COUNT}, {**_RUN, "id": "r0"}]},
        _OF_JOBS,
    ),
    Read(
        "api.v4_workflows_workflow_id_jobs_job_id_get",
        (f"{_W}/jobs/jobs/r1",),
        _JOB,
        {**_OF_JOBS, "job_id": "r1"},
    ),
    Read(
        "api.v4_workflows_workflow_id_data_get",
        (f"{_D}?limit=0&gzip=true",),
        {"data": Rows(), "run_id": "r1", "pagination": {"total_count": COUNT, "total_pages": 1}},
        {**_OF_JOBS, "limit": 0, "gzip": True},
    ),
    *(Read(f"api.{version}_changes_get", (f"GET /{version}/changes",), _CHANGES) for version in ("v4", "v5")),
    *(
        Read(
            f"api.{version}_changes_change_id_get",
            (f"GET /{version}/changes/jobs%3Ar1",),
            _CHANGE,
            {"change_id": "jobs:r1"},
        )
        for version in ("v4", "v5")
    ),
)  # fmt: skip
"""Of version 0.20.0. ``api`` is the generated client that the SDK has within."""

NOT_READS = {
    *(f"workflow.{name}" for name in ("create", "update", "delete", "pause", "resume", "run_workflow")),
    *(f"extraction.{name}" for name in ("run", "submit", "run_job", "run_job_and_wait", "resume_workflow")),
}
NOT_HERE = {
    "extraction.get_notification_channels",
    "extraction.get_notification_settings",
    "api.v4_changes_files_encoded_path_get",
    "api.v4_workflows_workflow_id_auditlog_get",
    "api.v5_workflows_workflow_id_auditlog_get",
}
"""Reads of what does not exist here: notifications, screenshots, logs of configurations."""
_NODE_WORKFLOW = {"id": "jobs", "name": "jobs", "state": "ACTIVE", "totalRecords": COUNT, "publishedJobId": "r1"}
_NODE_DETAILS = _NODE_WORKFLOW | {
    "jobId": "r1",
    "runState": "FINISHED",
    "startedAt": ...,
    "finishedAt": ...,
    "schema": ...,
}
_NODE_CHANGE = {"id": "jobs:r1", "workflowId": "jobs", "createdAt": ..., "url": ...}
_NODE_JOB = {"id": "r1", "state": "FINISHED", "startedAt": ..., "finishedAt": ...}

NODE = (
    Read("workflow.list", (_W,), {"workflows": [_NODE_WORKFLOW]}),
    Read("workflow.list", (f"{_W}?search=JOB&skip=0&limit=1&state=ACTIVE",), {"workflows": [_NODE_WORKFLOW]}),
    Read("workflow.list", (f"{_W}?tags=a&tags=b",), {"workflows": []}),
    Read("workflow.getByName", (f"{_W}?search=jobs",), {"workflows": [_NODE_WORKFLOW]}),
    Read("workflow.get", (f"{_W}/jobs",), _NODE_DETAILS),
    Read("workflow.wait", (f"{_W}/jobs",), _NODE_DETAILS),
    Read(
        "workflow.listWorkflowRuns",
        (f"{_W}/jobs/history?page=1&limit=1000&status=success",),
        {"workflowRuns": [{**_NODE_JOB, "records": COUNT}, {**_NODE_JOB, "id": "r0"}], "totalCount": 2},
    ),
    Read("workflow.getJobStatus", (f"{_W}/jobs/jobs/r1",), _NODE_JOB),
    Read("workflow.waitForJobCompletion", (f"{_W}/jobs/jobs/r1",), _NODE_JOB),
    Read("extraction.fetchData", (f"{_D}?page=1&limit=2",), {"data": Rows(0, 2), "pagination": {"totalCount": COUNT}}),
    Read(
        "extraction.fetchData",
        (
            f"{_D}?runId=r1&sortBy=jobTitle&order=desc&filters={_FILTERS_IN_URL}&page=2&limit=3"
            "&gzip=true&includeAnomalies=true",
        ),
        {"data": Rows(3, 6, filtered_and_sorted=True)},
    ),
    Read("extraction.fetchData", (f"{_D}?page=1&limit=0",), {"data": Rows(), "pagination": {"totalPages": 1}}),
    Read(
        "extraction.fetchAllData", (f"{_D}?page=3&limit=2000",), {"data": Rows(4000), "pagination": {"totalPages": 3}}
    ),
    Read("extraction.fetchDataPages", (f"{_D}?page=2&limit=3000",), {"data": Rows(3000)}),
    Read("extraction.exportData", (f"{_D}/export?format=csv",), {"rowCount": COUNT, "url": ..., "expiresAt": ...}),
    Read(
        "apis.workflows.v4WorkflowsWorkflowIdDataGet",
        (f"{_D}?format=csv&download=link",),
        {"format": "csv", "totalRows": COUNT, "exportId": ..., "downloadPath": ..., "expiresAt": ...},
    ),
    Read("changes.list", ("GET /v4/changes",), {"changes": [_NODE_CHANGE], "pagination": {"totalCount": 1}}),
    Read("changes.get", ("GET /v4/changes/jobs%3Ar1",), _NODE_CHANGE),
)
"""Requests that version 0.41.0 sent when its methods were called, the last of each. The SDK returns the body as it is.

Its package was not in the registry that tests install from, so the requests were recorded by hand.
"""
