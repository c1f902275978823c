-- All runs that have a manifest, in any state, newest first.
CREATE VIEW runs AS
SELECT workflow, run, team, state, latest, rows, files, bytes, executed_at, published_at
FROM _inside.runs
ORDER BY published_at DESC, workflow, run;
