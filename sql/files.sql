-- The Parquet files of all manifests, with the minimum, maximum and nulls of each column over the whole file.
-- They come in the order of workflows, runs and parts, without the memory that a sort of the bounds takes.
CREATE VIEW files AS
SELECT workflow, run, state, file, rows, bytes, row_groups, bounds
FROM _inside.files;
