-- The source of the views: rows of JSON, which a session reads when a statement asks for them, and a views file holds
-- as literals. $runs and the others are tables with a column json. Times are in UTC, of a type that clients can fetch
-- without further packages.
CREATE SCHEMA _inside;

CREATE VIEW _inside.workflows AS
SELECT unnest(from_json_strict(json, '{
    "workflow": "VARCHAR", "name": "VARCHAR", "team": "VARCHAR", "latest_run": "VARCHAR"
}'))
FROM $workflows;

CREATE VIEW _inside.runs AS
SELECT unnest(from_json_strict(json, '{
    "workflow": "VARCHAR", "run": "VARCHAR", "state": "VARCHAR", "rows": "BIGINT", "files": "BIGINT",
    "bytes": "BIGINT", "executed_at": "TIMESTAMP", "published_at": "TIMESTAMP"
}'))
FROM $runs;

CREATE VIEW _inside.files AS
SELECT unnest(from_json_strict(json, '{
    "workflow": "VARCHAR", "run": "VARCHAR", "state": "VARCHAR", "file": "VARCHAR",
    "rows": "BIGINT", "bytes": "BIGINT", "row_groups": "BIGINT",
    "bounds": "MAP(VARCHAR, STRUCT(minimum VARCHAR, maximum VARCHAR, exact BOOLEAN, nulls BIGINT))"
}'))
FROM $files;

CREATE VIEW _inside.columns AS
SELECT unnest(from_json_strict(json, '{
    "workflow": "VARCHAR", "run": "VARCHAR", "state": "VARCHAR", "ordinal": "BIGINT", "name": "VARCHAR",
    "type": "VARCHAR", "data_type": "VARCHAR", "nulls": "BIGINT",
    "bytes": "BIGINT", "distinct_values": "BIGINT"
}'))
FROM $columns;

CREATE VIEW _inside.exports AS
SELECT unnest(from_json_strict(json, '{
    "export_id": "VARCHAR", "workflow": "VARCHAR", "run": "VARCHAR", "format": "VARCHAR", "rows": "BIGINT",
    "bytes": "BIGINT", "sha256": "VARCHAR", "made_at": "TIMESTAMP", "kept_until": "TIMESTAMP"
}'))
FROM $exports;
