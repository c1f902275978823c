-- The views and macros, with an example of each.
CREATE VIEW help AS
SELECT * FROM (
    VALUES
    ('help', 'this list', 'FROM help'),
    ('runs', 'all runs in any state, newest first', 'FROM runs WHERE state <> ''FINISHED'''),
    ('latest_runs', 'the latest finished run of each workflow', 'FROM latest_runs'),
    (
        'result(workflow, run, failed := true)',
        'the rows of a run, by default the latest; failed := true: of one that is not finished',
        'FROM result(''jobs'') LIMIT 5'
    ),
    (
        'profile(workflow, run)',
        'the type, nulls, distinct values and quantiles of each column of a run',
        'FROM profile(''jobs'', ''2026-11-23'')'
    ),
    (
        'run_diff(workflow, run_a, run_b)',
        'the rows that were added, removed or changed between two runs, by row id; first, what changed in the schema',
        'SELECT change, count(*) FROM run_diff(''jobs'', ''2026-11-22'', ''2026-11-23'') GROUP BY change'
    ),
    (
        'files',
        'the Parquet files of runs: rows, bytes, row groups, bounds by column, and whether these are exact',
        'SELECT file, rows, bounds[''salary''] FROM files WHERE workflow = ''jobs'''
    ),
    ('columns', 'the columns of all runs: type, nulls, bytes and, if known, distinct values', 'FROM columns WHERE workflow = ''jobs'''),
    (
        'history(workflow)',
        'the rows of all finished runs of a workflow, with _run_id and _executed_at',
        'SELECT _run_id, count(*) FROM history(''jobs'') GROUP BY ALL'
    ),
    (
        'row_groups(workflow, run)',
        'the row groups of a run: rows, bytes, and bytes of each column',
        'SELECT file, row_group, rows, bytes FROM row_groups(''jobs'')'
    ),
    ('exports', 'finished exports', 'SELECT workflow, format, sum(bytes) FROM exports GROUP BY ALL')
) AS _help(name, shows, example);
