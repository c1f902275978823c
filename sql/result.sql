-- The rows of a finished run, _row_id first; by default, of the workflow's latest. failed := true reads one that is not
-- finished.
CREATE MACRO result(workflow, run := NULL, failed := FALSE) AS TABLE
SELECT * FROM query($selects(workflow, run, failed));
