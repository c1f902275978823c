-- The rows that were added, removed or changed between two runs of a workflow, by row id, and the fields that changed.
-- Values are compared, not their text: 1 is 1.0. If the types differ, values are the same if each, cast to the type of
-- the other, is the other; objects and lists, if their JSON is the same. A field that only one run has changes no row.
-- First come a row 'schema', with the fields whose type is not the same in both runs, and a row 'ids' if the ids are
-- not the values of one field: then the same id may be of different things.
-- Rows are compared by the hashes that are stored with them, if both runs have them and the same columns; if not, by a
-- hash of 64 bits of their values. So only the ids and hashes of all rows are in memory at once.
CREATE MACRO run_diff(workflow, run_a, run_b) AS TABLE
SELECT * FROM query(list_transform(
    [struct_pack(
        -- Of run_a, then of run_b.
        runs := list_transform([run_a, run_b], lambda one: $columns(workflow, one, FALSE)),
        sources := list_transform([run_a, run_b], lambda one: $selects(workflow, one, FALSE))
    )],
    lambda pair: list_transform(
        [
            -- The fields of run_b, then those that only run_a has. DuckDB 1.2 takes `one` alone for text.
            list_transform(
                pair['runs'][2]['fields'],
                lambda one: struct_pack(
                    a := list_extract(
                        list_filter(
                            pair['runs'][1]['fields'], lambda other: lower(other['name']) = lower(one['name'])
                        ),
                        1
                    ),
                    b := list_extract([one], 1)
                )
            )
            || list_transform(
                list_filter(
                    pair['runs'][1]['fields'],
                    lambda one: NOT list_contains(
                        list_transform(pair['runs'][2]['fields'], lambda other: lower(other['name'])),
                        lower(one['name'])
                    )
                ),
                lambda one: struct_pack(
                    a := list_extract([one], 1),
                    b := list_extract(list_filter([one], lambda other: FALSE), 1)
                )
            )
        ],
        lambda fields: list_transform(
            [list_transform(
                fields,
                lambda one: struct_pack(
                    compared := CASE
                        WHEN one['a'] IS NULL THEN 'added'
                        WHEN one['b'] IS NULL THEN 'removed'
                        WHEN one['a']['type'] = one['b']['type'] THEN 'as they are'
                        WHEN one['a']['nested'] OR one['b']['nested'] THEN 'as JSON'
                        ELSE 'cast'
                    END,
                    a := one['a']['cell'],
                    b := one['b']['cell'],
                    type_a := one['a']['type'],
                    type_b := one['b']['type'],
                    label := '''' || replace(coalesce(one['b']['name'], one['a']['name']), '''', '''''') || ''''
                )
            )],
            lambda compared: concat(
                'WITH _ids AS MATERIALIZED (SELECT _row_id FROM (',
                CASE
                    WHEN pair['runs'][1]['hashed'] AND pair['runs'][2]['hashed']
                        AND len(list_filter(compared, lambda one: one['compared'] <> 'as they are')) = 0
                    THEN concat(
                        replace(pair['sources'][1], '* EXCLUDE (_hash_high, _hash_low)', '_row_id, row(_hash_high, _hash_low) AS _hash'),
                        ') AS _a FULL JOIN (',
                        replace(pair['sources'][2], '* EXCLUDE (_hash_high, _hash_low)', '_row_id, row(_hash_high, _hash_low) AS _hash')
                    )
                    ELSE concat(
                        'SELECT _row_id, hash(',
                        array_to_string(
                            ['0'] || list_transform(
                                compared,
                                lambda one: CASE one['compared']
                                    WHEN 'as they are' THEN one['a']
                                    WHEN 'as JSON' THEN format('to_json({})', one['a'])
                                    WHEN 'cast' THEN format('TRY_CAST({} AS {}), {}', one['a'], one['type_b'], one['a'])
                                END
                            ),
                            ', '
                        ),
                        ') AS _hash FROM (', pair['sources'][1], ')) AS _a FULL JOIN (SELECT _row_id, hash(',
                        array_to_string(
                            ['0'] || list_transform(
                                compared,
                                lambda one: CASE one['compared']
                                    WHEN 'as they are' THEN one['b']
                                    WHEN 'as JSON' THEN format('to_json({})', one['b'])
                                    WHEN 'cast' THEN format('{}, TRY_CAST({} AS {})', one['b'], one['b'], one['type_a'])
                                END
                            ),
                            ', '
                        ),
                        ') AS _hash FROM (', pair['sources'][2], ')'
                    )
                END,
                ') AS _b USING (_row_id) WHERE _a._hash IS DISTINCT FROM _b._hash), ',
                '_a AS (FROM (', pair['sources'][1], ') WHERE _row_id IN (FROM _ids)), ',
                '_b AS (FROM (', pair['sources'][2], ') WHERE _row_id IN (FROM _ids)), ',
                '_schema AS (SELECT unnest([NULL, ',
                array_to_string(
                    list_transform(
                        list_filter(compared, lambda one: one['type_a'] IS DISTINCT FROM one['type_b']),
                        lambda one: format(
                            'struct_pack(field := {}, "before" := {}, "after" := {})',
                            one['label'],
                            coalesce('''' || replace(one['type_a'], '''', '''''') || '''', 'NULL'),
                            coalesce('''' || replace(one['type_b'], '''', '''''') || '''', 'NULL')
                        )
                    ),
                    ', '
                ),
                ']::STRUCT(field VARCHAR, "before" VARCHAR, "after" VARCHAR)[]) AS _field) ',
                'SELECT NULL::VARCHAR AS row_id, ''schema'' AS change, list(_field) AS changes FROM _schema',
                ' WHERE _field IS NOT NULL HAVING count(*) > 0 ',
                'UNION ALL SELECT NULL, ''ids'', [struct_pack(field := ''_row_id'', "before" := ''',
                replace(pair['runs'][1]['ids'], '''', ''''''), ''', "after" := ''',
                replace(pair['runs'][2]['ids'], '''', ''''''), ''')] WHERE EXISTS (FROM _ids) AND ',
                pair['runs'][1]['ids'] <> pair['runs'][2]['ids'] OR pair['runs'][1]['ids'] = 'positions of rows',
                ' UNION ALL (SELECT coalesce(_a._row_id, _b._row_id) AS _id,',
                ' CASE WHEN _a._row_id IS NULL THEN ''added'' WHEN _b._row_id IS NULL THEN ''removed''',
                ' ELSE ''changed'' END, [_one FOR _one IN CAST([NULL, ',
                array_to_string(
                    list_transform(
                        compared,
                        lambda one: format(
                            CASE one['compared']
                                WHEN 'added' THEN 'CASE WHEN _a._row_id IS NULL AND _b.{1} IS NOT NULL'
                                WHEN 'removed' THEN 'CASE WHEN _b._row_id IS NULL AND _a.{0} IS NOT NULL'
                                WHEN 'as they are' THEN 'CASE WHEN _a.{0} IS DISTINCT FROM _b.{1}'
                                WHEN 'as JSON' THEN 'CASE WHEN to_json(_a.{0}) IS DISTINCT FROM to_json(_b.{1})'
                                ELSE 'CASE WHEN TRY_CAST(_a.{0} AS {3}) IS DISTINCT FROM _b.{1}'
                                    || ' OR _a.{0} IS DISTINCT FROM TRY_CAST(_b.{1} AS {2})'
                            END
                            || ' THEN struct_pack(field := {4}, "before" := '
                            || CASE WHEN one['a'] IS NULL THEN 'NULL::VARCHAR' ELSE '_a.{0}::VARCHAR' END
                            || ', "after" := '
                            || CASE WHEN one['b'] IS NULL THEN 'NULL::VARCHAR' ELSE '_b.{1}::VARCHAR' END
                            || ') END',
                            coalesce(one['a'], ''), coalesce(one['b'], ''),
                            coalesce(one['type_a'], ''), coalesce(one['type_b'], ''), one['label']
                        )
                    ),
                    ', '
                ),
                '] AS STRUCT(field VARCHAR, "before" VARCHAR, "after" VARCHAR)[]) IF _one IS NOT NULL]',
                ' FROM _a FULL JOIN _b USING (_row_id) ORDER BY _id)'
            )
        )[1]
    )[1]
)[1]);
