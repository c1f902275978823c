-- What there is to ask, with an example each.
CREATE VIEW help AS
SELECT * FROM (
    VALUES
    ('help', 'this list', 'FROM help'),
    ('runs', 'every run in any state, the newest first', 'FROM runs WHERE state <> ''FINISHED'''),
    ('latest_runs', 'the latest finished run of each workflow', 'FROM latest_runs'),
    ('result(workflow, run)', 'the rows of a run; of the latest, if none is named', 'FROM result(''jobs'') LIMIT 5'),
    (
        'profile(workflow, run)',
        'each column of a run: type, nulls, distinct values, quantiles',
        'FROM profile(''jobs'', ''2026-11-23'')'
    ),
    (
        'run_diff(workflow, run_a, run_b)',
        'rows that were added, removed or changed, by row id',
        'SELECT change, count(*) FROM run_diff(''jobs'', ''2026-11-22'', ''2026-11-23'') GROUP BY change'
    ),
    (
        'files',
        'the Parquet files of runs: rows, bytes, row groups, bounds by column',
        'SELECT file, rows, bounds[''salary''] FROM files WHERE workflow = ''jobs'''
    ),
    ('exports', 'finished exports that are kept', 'SELECT workflow, format, sum(bytes) FROM exports GROUP BY ALL')
) AS _help(name, shows, example);
