-- All runs that have a manifest, in any state, newest first.
CREATE VIEW runs AS
SELECT
    run.workflow,
    run.run,
    workflow.team,
    run.state,
    coalesce(run.state = 'FINISHED' AND run.run = workflow.latest_run, FALSE) AS latest,
    run.rows,
    run.files,
    run.bytes,
    run.executed_at,
    run.published_at
FROM _inside.runs AS run
LEFT JOIN _inside.workflows AS workflow USING (workflow)
ORDER BY run.published_at DESC, run.workflow, run.run;
