-- The rows that were added, removed or changed between two runs of a workflow, by row id. Cells are compared as text,
-- so that runs with different columns or types can be compared; a missing column is null. Unchanged rows are left out.
CREATE MACRO run_diff(workflow, run_a, run_b) AS TABLE
WITH
    _a AS (
        SELECT _row_id AS _id, CAST(to_json(_row) AS MAP(VARCHAR, VARCHAR)) AS _cells
        FROM (
            SELECT _row_id, CAST(COLUMNS(* EXCLUDE (_row_id)) AS VARCHAR)
            FROM query(_inside.statement(workflow, run_a))
        ) AS _row
    ),
    _b AS (
        SELECT _row_id AS _id, CAST(to_json(_row) AS MAP(VARCHAR, VARCHAR)) AS _cells
        FROM (
            SELECT _row_id, CAST(COLUMNS(* EXCLUDE (_row_id)) AS VARCHAR)
            FROM query(_inside.statement(workflow, run_b))
        ) AS _row
    ),
    _pairs AS (
        SELECT
            coalesce(_a._id, _b._id) AS row_id,
            CASE WHEN _a._id IS NULL THEN 'added' WHEN _b._id IS NULL THEN 'removed' ELSE 'changed' END AS change,
            list_transform(
                list_filter(
                    list_distinct(coalesce(map_keys(_a._cells), []) || coalesce(map_keys(_b._cells), [])),
                    lambda _name: _name <> '_row_id' AND _a._cells[_name] IS DISTINCT FROM _b._cells[_name]
                ),
                lambda _name: struct_pack(field := _name, before := _a._cells[_name], after := _b._cells[_name])
            ) AS changes
        FROM _a FULL JOIN _b ON _a._id = _b._id
        WHERE _a._cells IS DISTINCT FROM _b._cells
    )
SELECT row_id, change, changes
FROM _pairs
WHERE change <> 'changed' OR len(changes) > 0
ORDER BY row_id;
