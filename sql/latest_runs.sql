-- The latest finished run of each workflow: what an export without a runId holds, and result('workflow') reads.
CREATE VIEW latest_runs AS
SELECT workflow, name, team, run, rows, files, bytes, executed_at, published_at
FROM _inside.runs
WHERE latest
ORDER BY workflow;
