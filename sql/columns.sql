-- The columns of all runs, in their order. Nulls are not known of objects and lists. Distinct values are known where
-- the one row group of a run has a dictionary of them; FROM profile('W') counts all.
CREATE VIEW columns AS
SELECT workflow, run, state, name, type, data_type, nulls, bytes, distinct_values
FROM _inside.columns;
