-- The source of the views: manifests and exports as they were when the session was opened or the views file written.
-- The engine inserts $runs, $files, $exports (JSON arrays) and $statements (a JSON object) as literals. So the views
-- are the same in a session and in a file, on a directory and on Azure, and query(), which needs a constant, works.
-- Times are in UTC, of a type that clients can fetch without further packages.
CREATE SCHEMA _inside;

CREATE VIEW _inside.runs AS
SELECT unnest(from_json_strict($runs, '[{
    "workflow": "VARCHAR", "run": "VARCHAR", "name": "VARCHAR", "team": "VARCHAR", "state": "VARCHAR",
    "latest": "BOOLEAN", "rows": "BIGINT", "files": "BIGINT", "bytes": "BIGINT",
    "executed_at": "TIMESTAMP", "published_at": "TIMESTAMP"
}]'), max_depth := 2);

CREATE VIEW _inside.files AS
SELECT unnest(from_json_strict($files, '[{
    "workflow": "VARCHAR", "run": "VARCHAR", "state": "VARCHAR", "file": "VARCHAR",
    "rows": "BIGINT", "bytes": "BIGINT", "row_groups": "BIGINT",
    "bounds": "MAP(VARCHAR, STRUCT(minimum VARCHAR, maximum VARCHAR, nulls BIGINT))"
}]'), max_depth := 2);

CREATE VIEW _inside.exports AS
SELECT unnest(from_json_strict($exports, '[{
    "export_id": "VARCHAR", "workflow": "VARCHAR", "run": "VARCHAR", "format": "VARCHAR", "rows": "BIGINT",
    "bytes": "BIGINT", "sha256": "VARCHAR", "made_at": "TIMESTAMP", "kept_until": "TIMESTAMP"
}]'), max_depth := 2);

-- The SELECT over the parts of a finished run, by 'workflow/run'; 'workflow/' is the latest run. Ids contain no slash,
-- so no argument matches another entry, and arguments never become part of a statement.
CREATE MACRO _inside.statement(workflow, run) AS coalesce(
    CAST(CAST($statements AS JSON) AS MAP(VARCHAR, VARCHAR))[workflow || '/' || coalesce(run, '')],
    error(
        'There is no finished run ' || coalesce(run || ' ', '') || 'of a workflow ' || workflow
        || '; use FROM runs to list the runs.'
    )
);
