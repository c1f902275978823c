-- The Parquet files of all manifests, with the minimum, maximum and nulls of each column over the whole file.
CREATE VIEW files AS
SELECT workflow, run, state, file, rows, bytes, row_groups, bounds
FROM _inside.files
ORDER BY workflow, run, file;
