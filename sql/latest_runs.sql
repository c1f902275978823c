-- The latest finished run of each workflow: the run that exports without a runId and result('workflow') use.
CREATE VIEW latest_runs AS
SELECT
    run.workflow,
    workflow.name,
    workflow.team,
    run.run,
    run.rows,
    run.files,
    run.bytes,
    run.executed_at,
    run.published_at
FROM _inside.runs AS run
INNER JOIN _inside.workflows AS workflow ON run.workflow = workflow.workflow AND run.run = workflow.latest_run
WHERE run.state = 'FINISHED'
ORDER BY run.workflow;
