-- The rows of a finished run, _row_id first; by default, of the workflow's latest. With failed := true, those of a run
-- that is not finished. Two forms: before 1.4, DuckDB takes a parameter with a default by its name alone.
CREATE MACRO result
(workflow) AS TABLE (SELECT * FROM query($selects(workflow, NULL, FALSE))),
(workflow, run, failed := FALSE) AS TABLE (SELECT * FROM query($selects(workflow, run, failed)));
