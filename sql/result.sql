-- The rows of a finished run, _row_id first; by default, of the workflow's latest.
CREATE MACRO result(workflow, run := NULL) AS TABLE
SELECT * FROM query(_inside.statement(workflow, run));
