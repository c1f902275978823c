-- The source of the views: rows of JSON, which a session reads when a statement asks for them, and a views file holds
-- as literals. $runs and the others are tables with the columns in the parentheses; a session parses only those that a
-- statement uses. Times are in UTC, of a type that clients can fetch without further packages.
CREATE SCHEMA _inside;

CREATE VIEW _inside.workflows AS
FROM $workflows({
    "workflow": "VARCHAR", "name": "VARCHAR", "team": "VARCHAR", "latest_run": "VARCHAR"
});

CREATE VIEW _inside.runs AS
FROM $runs({
    "workflow": "VARCHAR", "run": "VARCHAR", "state": "VARCHAR", "rows": "BIGINT", "files": "BIGINT",
    "bytes": "BIGINT", "executed_at": "TIMESTAMP", "published_at": "TIMESTAMP"
});

CREATE VIEW _inside.files AS
FROM $files({
    "workflow": "VARCHAR", "run": "VARCHAR", "state": "VARCHAR", "file": "VARCHAR",
    "rows": "BIGINT", "bytes": "BIGINT", "row_groups": "BIGINT",
    "bounds": "MAP(VARCHAR, STRUCT(minimum VARCHAR, maximum VARCHAR, exact BOOLEAN, nulls BIGINT))"
});

CREATE VIEW _inside.columns AS
FROM $columns({
    "workflow": "VARCHAR", "run": "VARCHAR", "state": "VARCHAR", "name": "VARCHAR", "type": "VARCHAR",
    "data_type": "VARCHAR", "nulls": "BIGINT", "bytes": "BIGINT", "distinct_values": "BIGINT"
});

CREATE VIEW _inside.exports AS
FROM $exports({
    "export_id": "VARCHAR", "workflow": "VARCHAR", "run": "VARCHAR", "format": "VARCHAR", "rows": "BIGINT",
    "bytes": "BIGINT", "sha256": "VARCHAR", "crc64nvme": "VARCHAR", "made_at": "TIMESTAMP", "kept_until": "TIMESTAMP"
});
