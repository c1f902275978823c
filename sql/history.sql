-- The rows of all finished runs of a workflow, the oldest first, by the names of their columns; a column that a run does
-- not have is null. Numbers of several types are a DOUBLE if one is, or refused if that would round them; objects and
-- lists of several types are JSON; other columns of several types are text.
CREATE MACRO history(workflow) AS TABLE
SELECT * FROM query($histories(workflow, NULL, FALSE));
