-- One row per column, with exact counts and quantiles. SUMMARIZE fails on NaN, and its counts are estimates.
CREATE MACRO profile
(workflow) AS TABLE (
    SELECT name, unnest(_profile)
    FROM (
        UNPIVOT (
            SELECT struct_pack(
                "type" := any_value(typeof(COLUMNS(*))),
                "rows" := count(*),
                nulls := count(*) - count(COLUMNS(*)),
                distinct_values := count(DISTINCT COLUMNS(*)),
                minimum := CAST(min(COLUMNS(*)) AS VARCHAR),
                quarter := CAST(quantile_disc(COLUMNS(*), 0.25) AS VARCHAR),
                median := CAST(quantile_disc(COLUMNS(*), 0.5) AS VARCHAR),
                three_quarters := CAST(quantile_disc(COLUMNS(*), 0.75) AS VARCHAR),
                maximum := CAST(max(COLUMNS(*)) AS VARCHAR)
            )
            FROM query($selects(workflow, NULL, FALSE))
        ) ON COLUMNS(*) INTO NAME name VALUE _profile
    )
),
(workflow, run) AS TABLE (
    SELECT name, unnest(_profile)
    FROM (
        UNPIVOT (
            SELECT struct_pack(
                "type" := any_value(typeof(COLUMNS(*))),
                "rows" := count(*),
                nulls := count(*) - count(COLUMNS(*)),
                distinct_values := count(DISTINCT COLUMNS(*)),
                minimum := CAST(min(COLUMNS(*)) AS VARCHAR),
                quarter := CAST(quantile_disc(COLUMNS(*), 0.25) AS VARCHAR),
                median := CAST(quantile_disc(COLUMNS(*), 0.5) AS VARCHAR),
                three_quarters := CAST(quantile_disc(COLUMNS(*), 0.75) AS VARCHAR),
                maximum := CAST(max(COLUMNS(*)) AS VARCHAR)
            )
            FROM query($selects(workflow, run, FALSE))
        ) ON COLUMNS(*) INTO NAME name VALUE _profile
    )
);
