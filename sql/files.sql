-- The Parquet files that manifests name, with the bounds of each column over all row groups of the file.
CREATE VIEW files AS
SELECT workflow, run, state, file, rows, bytes, row_groups, bounds
FROM _inside.files
ORDER BY workflow, run, file;
