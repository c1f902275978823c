-- The row groups of a finished run, from the footers of its files: rows, compressed bytes, and the bytes of each column,
-- whose path is as in parquet_metadata().
CREATE MACRO row_groups
(workflow) AS TABLE (
    SELECT
        parse_filename(file_name) AS file,
        row_group_id AS row_group,
        any_value(row_group_num_rows) AS rows,
        CAST(sum(total_compressed_size) AS BIGINT) AS bytes,
        list(struct_pack(path := path_in_schema, bytes := total_compressed_size) ORDER BY column_id) AS columns
    FROM query($footers(workflow, NULL, FALSE))
    GROUP BY file_name, row_group_id
    ORDER BY file_name, row_group_id
),
(workflow, run) AS TABLE (
    SELECT
        parse_filename(file_name) AS file,
        row_group_id AS row_group,
        any_value(row_group_num_rows) AS rows,
        CAST(sum(total_compressed_size) AS BIGINT) AS bytes,
        list(struct_pack(path := path_in_schema, bytes := total_compressed_size) ORDER BY column_id) AS columns
    FROM query($footers(workflow, run, FALSE))
    GROUP BY file_name, row_group_id
    ORDER BY file_name, row_group_id
);
