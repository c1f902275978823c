-- The latest finished run of each workflow: the run that exports without a runId and result('workflow') use.
CREATE VIEW latest_runs AS
SELECT workflow, name, team, run, rows, files, bytes, executed_at, published_at
FROM _inside.runs
WHERE latest
ORDER BY workflow;
