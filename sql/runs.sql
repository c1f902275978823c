-- What is published in a results directory: one row a run, newest first.
-- From the checkout's root: duckdb -c ".read sql/runs.sql"  (or any DuckDB: the manifests are plain JSON)
CREATE OR REPLACE TEMP VIEW runs AS
SELECT
    workflowId AS workflow,
    runId AS run,
    state,
    rows,
    len(parts) AS parts,
    list_sum([part.bytes FOR part IN parts]) AS bytes,
    executedAt::TIMESTAMP AS executed_at,
    publishedAt::TIMESTAMP AS published_at
FROM read_json(
    '.tailrace/results/workflow=*/run=*/run.json',
    columns = {
        workflowId: 'VARCHAR',
        runId: 'VARCHAR',
        state: 'VARCHAR',
        rows: 'BIGINT',
        parts: 'STRUCT(key VARCHAR, rows BIGINT, bytes BIGINT)[]',
        executedAt: 'VARCHAR',
        publishedAt: 'VARCHAR'
    },
    maximum_object_size = 1073741824
);

FROM runs ORDER BY published_at DESC;
