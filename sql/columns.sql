-- The columns of all runs, in their order. Nulls are not known of objects and lists.
CREATE VIEW columns AS
SELECT workflow, run, state, name, type, data_type, nulls
FROM _inside.columns
ORDER BY workflow, run, ordinal;
