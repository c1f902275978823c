-- What lies below the views: the manifests and the exports as they were when the session was opened, or the views file
-- written. The engine fills in $runs, $files, $exports (JSON arrays) and $statements (a JSON object) as literals: a
-- view that holds its facts is the same in a session and in a file, on a directory and on Azure, and a constant is
-- something that query() can read. Times are in UTC, of a type that every client can fetch without more packages.
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

-- The SELECT over the parts of a finished run, by 'workflow/run'; 'workflow/' is its latest. Ids hold no slash, so no
-- argument can name another entry, and none ever becomes a part of a statement.
CREATE MACRO _inside.statement(workflow, run) AS coalesce(
    CAST(CAST($statements AS JSON) AS MAP(VARCHAR, VARCHAR))[workflow || '/' || coalesce(run, '')],
    error(
        'There is no finished run ' || coalesce(run || ' ', '') || 'of a workflow ' || workflow
        || ': FROM runs lists what is published.'
    )
);
