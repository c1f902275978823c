"""Statements as analysts write them pass the allow-list and return what plain Python computes."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from statistics import mean, median
from typing import Any

import pyarrow as pa
import pytest

from engine.catalog.manifest import Run
from tests.helpers.engine import Engine
from tests.helpers.statements import rows

Row = dict[str, Any]

CITIES = ("Berlin", "Paris", "Rome")
SALES: list[Row] = [
    {
        "id": n,
        "city": CITIES[n % 3],
        "kind": None if n % 5 == 0 else f"k{n % 2}",
        "price": n * 1.5,
        "pieces": n % 7,
        "day": date(2024, 1, 1) + timedelta(days=n),
        "sold": datetime(2024, 1, 1, 8, tzinfo=UTC) + timedelta(hours=n),
        "tags": [f"t{k}" for k in range(n % 3)],
        "address": {"street": f"Street {n}", "zip": 10000 + n},
        "note": json.dumps({"who": f"user{n}", "stars": [n % 5, 1]}),
    }
    for n in range(1, 61)
]


def by(key: str, sales: list[Row] = SALES) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for sale in sales:
        groups[sale[key]].append(sale)
    return dict(sorted(groups.items(), key=lambda item: (item[0] is None, item[0])))


def pick(*names: str, where: Callable[[Row], bool] = lambda _: True) -> list[Row]:
    return [{name: sale[name] for name in names} for sale in SALES if where(sale)]


def each(name: str, value: Callable[[Row], Any]) -> list[Row]:
    return [{name: value(sale)} for sale in SALES]


def ranked() -> Iterator[Row]:
    for city, sales in by("city").items():
        for place, sale in enumerate(sorted(sales, key=lambda s: -s["price"])[:2], 1):
            yield {"city": city, "id": sale["id"], "place": place}


def running() -> Iterator[Row]:
    total = 0
    for sale in SALES:
        total += sale["pieces"]
        yield {"id": sale["id"], "total": total}


def moving() -> list[Row]:
    return [{"m": mean(s["price"] for s in SALES[max(0, n - 2) : n + 1])} for n in range(len(SALES))]


def counts(key: str) -> list[Row]:
    return [{key: name, "n": len(sales)} for name, sales in by(key).items()]


def weekly(first: date) -> date:
    return first - timedelta(days=first.weekday())


EVERYDAY: dict[str, tuple[str, list[Row]]] = {
    # Choosing rows and columns.
    "where": (
        "SELECT id, city FROM data WHERE price > 60 AND city <> 'Rome' ORDER BY id",
        pick("id", "city", where=lambda s: s["price"] > 60 and s["city"] != "Rome"),
    ),
    "from first": ("FROM data SELECT id WHERE id <= 3 ORDER BY id", [{"id": 1}, {"id": 2}, {"id": 3}]),
    "in": (
        "SELECT id FROM data WHERE city IN ('Rome', 'Oslo') ORDER BY id",
        pick("id", where=lambda s: s["city"] == "Rome"),
    ),
    "between": (
        "SELECT id FROM data WHERE day BETWEEN '2024-02-01' AND '2024-02-05' ORDER BY ALL",
        pick("id", where=lambda s: date(2024, 2, 1) <= s["day"] <= date(2024, 2, 5)),
    ),
    "null": ("SELECT id FROM data WHERE kind IS NULL ORDER BY id", pick("id", where=lambda s: s["kind"] is None)),
    "like": ("SELECT DISTINCT city FROM data WHERE city ILIKE '%R%' ORDER BY city", [{"city": c} for c in CITIES]),
    "not like": (
        "SELECT DISTINCT city FROM data WHERE city NOT LIKE 'B%' ORDER BY 1",
        [{"city": "Paris"}, {"city": "Rome"}],
    ),
    "order and offset": (
        "SELECT id FROM data ORDER BY price DESC, id LIMIT 3 OFFSET 2",
        [{"id": 58}, {"id": 57}, {"id": 56}],
    ),
    "nulls first": (
        "SELECT DISTINCT kind FROM data ORDER BY kind NULLS FIRST",
        [{"kind": None}, {"kind": "k0"}, {"kind": "k1"}],
    ),
    "exclude": (
        "SELECT * EXCLUDE (_row_id, price, pieces, day, sold, tags, address, note, kind) FROM data WHERE id = 7",
        [{"id": 7, "city": CITIES[1]}],
    ),
    "replace": (
        "SELECT * REPLACE (upper(city) AS city) FROM (SELECT id, city FROM data) WHERE id = 7",
        [{"id": 7, "city": CITIES[1].upper()}],
    ),
    "rename": (
        "SELECT * RENAME (city AS town) FROM (SELECT id, city FROM data) WHERE id = 7",
        [{"id": 7, "town": CITIES[1]}],
    ),
    "columns by pattern": ("SELECT COLUMNS('^p') FROM data WHERE id = 2", [{"price": 3.0, "pieces": 2}]),
    "columns by lambda": ("SELECT COLUMNS(c -> c LIKE 'p%') FROM data WHERE id = 2", [{"price": 3.0, "pieces": 2}]),
    "largest of columns": ("SELECT max(COLUMNS('^p')) FROM data", [{"price": 90.0, "pieces": 6}]),
    "distinct on": (
        "SELECT DISTINCT ON (city) city, id FROM data ORDER BY city, id DESC",
        [{"city": c, "id": max(s["id"] for s in sales)} for c, sales in by("city").items()],
    ),
    "sample": ("SELECT count(*) AS n FROM (FROM data USING SAMPLE 10 ROWS)", [{"n": 10}]),
    "qualified name": ("SELECT count(*) AS n FROM memory.main.data", [{"n": 60}]),
    "quoted name": ('SELECT count(*) AS n FROM "DATA"', [{"n": 60}]),
    # Expressions.
    "case": (
        "SELECT CASE WHEN price < 45 THEN 'low' ELSE 'high' END AS level, count(*) AS n FROM data "
        "GROUP BY level ORDER BY level",
        [{"level": "high", "n": 31}, {"level": "low", "n": 29}],
    ),
    "coalesce": (
        "SELECT coalesce(kind, 'none') AS kind FROM data ORDER BY id",
        each("kind", lambda s: s["kind"] or "none"),
    ),
    "ifnull, nullif, if": (
        "SELECT ifnull(kind, '-') AS a, nullif(pieces, 0) AS b, if(id > 30, 'y', 'n') AS c "
        "FROM data WHERE id IN (5, 35) ORDER BY id",
        [{"a": "-", "b": 5, "c": "n"}, {"a": "-", "b": None, "c": "y"}],
    ),
    "casts": (
        "SELECT '12'::INT AS i, CAST(1.25 AS DECIMAL(6, 1)) AS d, TRY_CAST('x' AS INTEGER) AS bad, "
        "id::VARCHAR AS t FROM data WHERE id = 1",
        [{"i": 12, "d": 1.3, "bad": None, "t": "1"}],
    ),
    "nested casts": (
        "SELECT ['1', '2']::INT[] AS l, {'a': '3'}::STRUCT(a INT) AS s, 'x'::ENUM('x', 'y') = 'x' AS e",
        [{"l": [1, 2], "s": {"a": 3}, "e": True}],
    ),
    "arithmetic": (
        "SELECT 7 // 2 AS a, 7 % 4 AS b, 2 ** 5 AS c, -(3) AS d, 7 / 2 AS e, round(2.567, 2) AS f, abs(-4) AS g",
        [{"a": 3, "b": 3, "c": 32.0, "d": -3, "e": 3.5, "f": 2.57, "g": 4}],
    ),
    "distinct from": (
        "SELECT count(*) AS n FROM data WHERE kind IS DISTINCT FROM 'k1'",
        [{"n": sum(s["kind"] != "k1" for s in SALES)}],
    ),
    "greatest": ("SELECT greatest(1, 5, 3) AS g, least(4, 2) AS l", [{"g": 5, "l": 2}]),
    "try": ("SELECT TRY('x'::INT) AS a", [{"a": None}]),
    # Grouping.
    "count": (
        "SELECT count(*) AS n, count(kind) AS k, count(DISTINCT city) AS c FROM data",
        [{"n": 60, "k": 48, "c": 3}],
    ),
    "group by": ("SELECT city, count(*) AS n FROM data GROUP BY city ORDER BY city", counts("city")),
    "group by all": ("SELECT kind, count(*) AS n FROM data GROUP BY ALL ORDER BY ALL", counts("kind")),
    "having": (
        "SELECT pieces, sum(price) AS s FROM data GROUP BY pieces HAVING sum(price) > 400 ORDER BY pieces",
        [
            {"pieces": p, "s": sum(s["price"] for s in sales)}
            for p, sales in by("pieces").items()
            if sum(s["price"] for s in sales) > 400
        ],
    ),
    "statistics": (
        "SELECT avg(price) AS a, median(price) AS m, min(day) AS lo, max(day) AS hi FROM data",
        [
            {
                "a": mean(s["price"] for s in SALES),
                "m": median(s["price"] for s in SALES),
                "lo": "2024-01-02",
                "hi": "2024-03-01",
            }
        ],
    ),
    "filter": (
        "SELECT count(*) FILTER (WHERE city = 'Rome') AS rome, sum(id) FILTER (id > 58) AS s FROM data",
        [{"rome": 20, "s": 119}],
    ),
    "ordered aggregate": (
        "SELECT string_agg(city, '+' ORDER BY id DESC) AS s FROM data WHERE id < 4",
        [{"s": "Berlin+Rome+Paris"}],
    ),
    "list aggregate": (
        "SELECT list(id ORDER BY id) AS l, array_agg(DISTINCT pieces ORDER BY pieces) AS p FROM data WHERE id < 9",
        [{"l": list(range(1, 9)), "p": list(range(7))}],
    ),
    "quantiles": (
        "SELECT quantile_disc(id, 0.5) AS q, percentile_disc(0.25) WITHIN GROUP (ORDER BY id) AS w FROM data",
        [{"q": 30, "w": 15}],
    ),
    "arg_max": (
        "SELECT arg_max(city, price) AS c, first(id ORDER BY id) AS f, any_value(1) AS v FROM data",
        [{"c": "Berlin", "f": 1, "v": 1}],
    ),
    "mode": (
        "SELECT mode(pieces) AS m FROM data WHERE pieces < 5",
        [{"m": Counter(s["pieces"] for s in SALES if s["pieces"] < 5).most_common(1)[0][0]}],
    ),
    "rollup": (
        "SELECT city, count(*) AS n, GROUPING(city) AS g FROM data GROUP BY ROLLUP (city) ORDER BY g, city",
        [{"city": c, "n": 20, "g": 0} for c in CITIES] + [{"city": None, "n": 60, "g": 1}],
    ),
    "grouping sets": (
        "SELECT city, kind, count(*) AS n FROM data GROUP BY GROUPING SETS ((city), (kind)) "
        "HAVING count(*) = 20 ORDER BY city",
        [{"city": c, "kind": None, "n": 20} for c in CITIES],
    ),
    "histogram": ("SELECT histogram(pieces)::VARCHAR AS h FROM data WHERE id < 4", [{"h": "{1=1, 2=1, 3=1}"}]),
    # Windows.
    "qualify": (
        "SELECT city, id, row_number() OVER (PARTITION BY city ORDER BY price DESC) AS place FROM data "
        "QUALIFY place <= 2 ORDER BY city, place",
        list(ranked()),
    ),
    "running total": ("SELECT id, sum(pieces) OVER (ORDER BY id) AS total FROM data ORDER BY id", list(running())),
    "moving average": (
        "SELECT avg(price) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS m FROM data ORDER BY id",
        moving(),
    ),
    "lag": (
        "SELECT id, id - lag(id, 1, 0) OVER w AS step FROM data WHERE id < 4 WINDOW w AS (ORDER BY id) ORDER BY id",
        [{"id": n, "step": 1} for n in (1, 2, 3)],
    ),
    "range frame": (
        "SELECT count(*) OVER (ORDER BY day RANGE BETWEEN INTERVAL 2 DAY PRECEDING AND CURRENT ROW) AS n "
        "FROM data WHERE id < 5 ORDER BY id",
        [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 3}],
    ),
    "ranks": (
        "SELECT rank() OVER (ORDER BY pieces) AS r, dense_rank() OVER (ORDER BY pieces) AS d, "
        "ntile(2) OVER (ORDER BY id) AS t FROM data WHERE id IN (1, 8, 9) ORDER BY id",
        [{"r": 1, "d": 1, "t": 1}, {"r": 1, "d": 1, "t": 1}, {"r": 3, "d": 2, "t": 2}],
    ),
    "share": (
        "SELECT city, count(*) / sum(count(*)) OVER () AS share FROM data GROUP BY city ORDER BY city",
        [{"city": c, "share": 20 / 60} for c in CITIES],
    ),
    # Joins, CTEs and sets.
    "cte": (
        "WITH rome AS (FROM data WHERE city = 'Rome'), few AS (FROM rome WHERE pieces = 1) "
        "SELECT id FROM few ORDER BY id",
        pick("id", where=lambda s: s["city"] == "Rome" and s["pieces"] == 1),
    ),
    "cte of the same name": (
        "WITH data AS (SELECT id FROM data WHERE id < 3) FROM data ORDER BY id",
        [{"id": 1}, {"id": 2}],
    ),
    "recursive cte": (
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n * 2 FROM t WHERE n < 50) FROM t",
        [{"n": 2**k} for k in range(7)],
    ),
    "recursive by key": (
        "WITH RECURSIVE t(k, n) USING KEY (k) AS (SELECT 1, 1 UNION SELECT k, n + 1 FROM t WHERE n < 5) FROM t",
        [{"k": 1, "n": 5}],
    ),
    "self join": ("SELECT a.id FROM data a JOIN data b ON a.id = b.id + 58 ORDER BY a.id", [{"id": 59}, {"id": 60}]),
    "left join": (
        "SELECT d.id, v.x FROM data d LEFT JOIN (VALUES (1, 'one')) v(id, x) USING (id) WHERE d.id < 3 ORDER BY d.id",
        [{"id": 1, "x": "one"}, {"id": 2, "x": None}],
    ),
    "asof join": (
        "SELECT v.t, d.id FROM (VALUES (DATE '2024-01-04')) v(t) ASOF JOIN data d ON v.t >= d.day",
        [{"t": "2024-01-04", "id": 3}],
    ),
    "semi and anti join": (
        "SELECT id FROM data SEMI JOIN range(1, 4) r(id) USING (id) ANTI JOIN range(2, 3) q(id) USING (id) ORDER BY id",
        [{"id": 1}, {"id": 3}],
    ),
    "positional join": (
        "SELECT a, b FROM (VALUES (1), (2)) x(a) POSITIONAL JOIN (VALUES (3), (4)) y(b) ORDER BY a",
        [{"a": 1, "b": 3}, {"a": 2, "b": 4}],
    ),
    "lateral join": (
        "SELECT d.id, x FROM data d, LATERAL (SELECT d.id * 10 AS x) WHERE d.id < 3 ORDER BY d.id",
        [{"id": 1, "x": 10}, {"id": 2, "x": 20}],
    ),
    "union": ("SELECT 1 AS n UNION ALL SELECT 2 UNION SELECT 2 ORDER BY n", [{"n": 1}, {"n": 2}]),
    "union by name": (
        "SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b ORDER BY a",
        [{"a": 1, "b": None}, {"a": None, "b": 2}],
    ),
    "intersect, except": ("(SELECT id FROM data INTERSECT SELECT 3) EXCEPT SELECT 4", [{"id": 3}]),
    "values": ("VALUES (1, 'a'), (2, 'b')", [{"col0": 1, "col1": "a"}, {"col0": 2, "col1": "b"}]),
    # Subqueries.
    "scalar subquery": ("SELECT id FROM data WHERE price = (SELECT max(price) FROM data)", [{"id": 60}]),
    "correlated subquery": (
        "SELECT id FROM data d WHERE price = (SELECT max(price) FROM data e WHERE e.city = d.city) ORDER BY id",
        [{"id": 58}, {"id": 59}, {"id": 60}],
    ),
    "exists": ("SELECT id FROM data d WHERE EXISTS (SELECT 1 FROM data e WHERE e.id = d.id + 59)", [{"id": 1}]),
    "any and all": (
        "SELECT 3 = ANY (SELECT id FROM data) AS a, 99 > ALL (SELECT id FROM data) AS b, "
        "ARRAY(SELECT id FROM data WHERE id < 3 ORDER BY id) AS c",
        [{"a": True, "b": True, "c": [1, 2]}],
    ),
    # Text.
    "text": (
        "SELECT upper(city) || '-' || lpad(id::VARCHAR, 3, '0') AS code, length(city) AS n, city[1] AS c, "
        "replace(city, 'e', 'E') AS r FROM data WHERE id = 3",
        [{"code": "BERLIN-003", "n": 6, "c": "B", "r": "BErlin"}],
    ),
    "concat, split, trim": (
        "SELECT concat_ws('/', 'a', 'b') AS a, split_part('x,y,z', ',', 2) AS b, "
        "trim('  q ') AS c, substring('berlin', 2, 3) AS d, format('{}-{}', 1, 'z') AS e",
        [{"a": "a/b", "b": "y", "c": "q", "d": "erl", "e": "1-z"}],
    ),
    "method calls": ("SELECT city.lower().reverse() AS r FROM data WHERE id = 3", [{"r": "nilreb"}]),
    "regular expressions": (
        "SELECT id FROM data WHERE regexp_matches(address.street, '^Street 1[05]$') ORDER BY id",
        [{"id": 10}, {"id": 15}],
    ),
    "regular extraction": (
        "SELECT regexp_extract('ab12', '([a-z]+)(\\d+)', 2) AS n, 'ab' ~ 'a.' AS m, "
        "regexp_replace('a1b2', '[0-9]', '#', 'g') AS r",
        [{"n": "12", "m": True, "r": "a#b#"}],
    ),
    "similar": (
        "SELECT levenshtein('kitten', 'sitting') AS l, 'abc' SIMILAR TO 'a.*' AS s, starts_with('abc', 'ab') AS p",
        [{"l": 3, "s": True, "p": True}],
    ),
    "collation": ("SELECT DISTINCT city FROM data WHERE city = 'ROME' COLLATE NOCASE", [{"city": "Rome"}]),
    # Dates.
    "dates": (
        "SELECT date_trunc('week', day) AS week, count(*) AS n FROM data GROUP BY week ORDER BY week LIMIT 3",
        [{"week": f"{w}T00:00:00Z", "n": n} for w, n in sorted(Counter(weekly(s["day"]) for s in SALES).items())[:3]],
    ),
    "parts of dates": (
        "SELECT year(day) AS y, extract(month FROM day) AS m, date_part('dow', day) AS d, "
        "strftime(day, '%d.%m.%Y') AS t FROM data WHERE id = 1",
        [{"y": 2024, "m": 1, "d": 2, "t": "02.01.2024"}],
    ),
    "intervals": (
        "SELECT DATE '2024-01-31' + INTERVAL 1 MONTH AS a, date_diff('day', DATE '2024-01-01', DATE '2024-03-01') "
        "AS b, last_day(DATE '2024-02-10') AS c",
        [{"a": "2024-02-29T00:00:00Z", "b": 60, "c": "2024-02-29"}],
    ),
    "strptime": (
        "SELECT strptime('03/02/2024', '%d/%m/%Y')::DATE AS d, make_date(2024, 2, 3) AS m",
        [{"d": "2024-02-03", "m": "2024-02-03"}],
    ),
    "now": (
        "SELECT now() > TIMESTAMPTZ '2024-01-01' AS a, current_date >= DATE '2024-01-01' AS b, "
        "current_timestamp IS NOT NULL AS c, today() = current_date AS d",
        [{"a": True, "b": True, "c": True, "d": True}],
    ),
    "time zone": (
        "SELECT hour(TIMESTAMP '2024-07-01 12:00:00' AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') AS h",
        [{"h": 14}],
    ),
    "time buckets": (
        "SELECT time_bucket(INTERVAL 1 DAY, sold) AS b, count(*) AS n FROM data GROUP BY b ORDER BY b LIMIT 1",
        [{"b": "2024-01-01T00:00:00Z", "n": 15}],
    ),
    # Lists, structs, maps and JSON.
    "unnest": (
        "SELECT id, unnest(tags) AS tag FROM data WHERE id IN (2, 4) ORDER BY id, tag",
        [{"id": 2, "tag": "t0"}, {"id": 2, "tag": "t1"}, {"id": 4, "tag": "t0"}],
    ),
    "unnest in from": (
        "SELECT tag, count(*) AS n FROM data, unnest(tags) AS u(tag) GROUP BY tag ORDER BY tag",
        [{"tag": "t0", "n": 40}, {"tag": "t1", "n": 20}],
    ),
    "lists": (
        "SELECT len(tags) AS n, list_contains(tags, 't1') AS c, tags[1] AS a, tags[:1] AS s, "
        "list_sort([3, 1, 2]) AS o, list_sum([1, 2]) AS t, [1] || [2] AS j FROM data WHERE id = 2",
        [{"n": 2, "c": True, "a": "t0", "s": ["t0"], "o": [1, 2, 3], "t": 3, "j": [1, 2]}],
    ),
    "lambdas": (
        "SELECT list_transform([1, 2, 3], x -> x * 2) AS t, list_filter([1, 2, 3], lambda x: x > 1) AS f, "
        "list_reduce([1, 2, 3], (a, b) -> a + b) AS r",
        [{"t": [2, 4, 6], "f": [2, 3], "r": 6}],
    ),
    "comprehension": ("SELECT [x * x FOR x IN [1, 2, 3] IF x <> 2] AS l", [{"l": [1, 9]}]),
    "structs": (
        "SELECT address.zip AS z, address['street'] AS s, {'a': 1, 'b': 'x'} AS t, struct_pack(q := 1).q AS q "
        "FROM data WHERE id = 9",
        [{"z": 10009, "s": "Street 9", "t": {"a": 1, "b": "x"}, "q": 1}],
    ),
    "star of a struct": ("SELECT address.* FROM data WHERE id = 9", [{"street": "Street 9", "zip": 10009}]),
    "maps": (
        "SELECT MAP {'a': 1}['a'] AS a, map_keys(MAP(['x'], [2])) AS k, cardinality(MAP {'b': 2}) AS n",
        [{"a": 1, "k": ["x"], "n": 1}],
    ),
    "json": (
        "SELECT note->>'who' AS w, (note->'stars'->0)::INT AS s, json_extract_string(note, '$.who') AS e, "
        "json_array_length(note, '$.stars') AS n FROM data WHERE id = 7",
        [{"w": "user7", "s": 2, "e": "user7", "n": 2}],
    ),
    "json casts": (
        "SELECT json_transform('{\"a\": 1}', '{\"a\": \"INT\"}').a AS t, json_object('k', 1)::VARCHAR AS o, "
        "('{\"a\": [1, 2]}'::JSON)->>'$.a[1]' AS p, json_valid('{') AS v, to_json([1])::VARCHAR AS j",
        [{"t": 1, "o": '{"k":1}', "p": "2", "v": False, "j": "[1]"}],
    ),
    "json rows": (
        'SELECT key, value::VARCHAR AS v FROM json_each(\'{"a": 1, "b": 2}\') ORDER BY key',
        [{"key": "a", "v": "1"}, {"key": "b", "v": "2"}],
    ),
    # Reshaping and describing.
    "pivot": (
        "PIVOT (SELECT city, kind, price FROM data) ON kind IN ('k0', 'k1') USING count(*) GROUP BY city ORDER BY city",
        [
            {"city": c, "k0": sum(s["kind"] == "k0" for s in sales), "k1": sum(s["kind"] == "k1" for s in sales)}
            for c, sales in by("city").items()
        ],
    ),
    "pivot of the standard": (
        "SELECT * FROM (SELECT city, pieces FROM data) PIVOT (count(*) FOR pieces IN (0, 1)) ORDER BY city",
        [
            {"city": c, "0": sum(s["pieces"] == 0 for s in sales), "1": sum(s["pieces"] == 1 for s in sales)}
            for c, sales in by("city").items()
        ],
    ),
    "unpivot": (
        "UNPIVOT (SELECT id, price, pieces::DOUBLE AS pieces FROM data WHERE id = 3) ON price, pieces "
        "INTO NAME what VALUE amount ORDER BY what",
        [{"id": 3, "what": "pieces", "amount": 3.0}, {"id": 3, "what": "price", "amount": 4.5}],
    ),
    "unpivot columns": (
        "SELECT count(*) AS n FROM (UNPIVOT (SELECT id, price, pieces::DOUBLE AS pieces FROM data) "
        "ON COLUMNS(* EXCLUDE (id)) INTO NAME what VALUE amount)",
        [{"n": 120}],
    ),
    "describe": (
        "SELECT column_name, column_type FROM (DESCRIBE SELECT id, city FROM data)",
        [{"column_name": "id", "column_type": "BIGINT"}, {"column_name": "city", "column_type": "VARCHAR"}],
    ),
    "summarize": (
        "SELECT column_name, min, max, count FROM (SUMMARIZE SELECT id, city FROM data)",
        [
            {"column_name": "id", "min": "1", "max": "60", "count": 60},
            {"column_name": "city", "min": "Berlin", "max": "Rome", "count": 60},
        ],
    ),
    "show tables": ("SHOW TABLES", [{"name": "data"}]),
    "series": (
        "SELECT a.generate_series AS n FROM generate_series(1, 3) a ORDER BY n DESC",
        [{"n": 3}, {"n": 2}, {"n": 1}],
    ),
    "gaps": (
        "SELECT g.d::DATE AS d FROM generate_series(DATE '2024-01-01', DATE '2024-01-03', INTERVAL 1 DAY) g(d) "
        "LEFT JOIN data ON data.day = g.d WHERE data.id IS NULL",
        [{"d": "2024-01-01"}],
    ),
    "a semicolon and comments": ("SELECT 1 AS one /* said */; -- end", [{"one": 1}]),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("everyday"))


@pytest.fixture(scope="module")
def run(engine: Engine) -> Run:
    return engine.publish(engine.write_parquet(pa.Table.from_pylist(SALES)))


def test_there_are_many_cases() -> None:
    assert len(EVERYDAY) >= 60


@pytest.mark.parametrize("name", EVERYDAY)
def test_an_everyday_statement_returns_the_expected_rows(engine: Engine, run: Run, name: str) -> None:
    sql, expected = EVERYDAY[name]
    assert rows(engine, run, sql) == [pytest.approx(row) if _has_only_scalars(row) else row for row in expected]


def test_describe_and_summarize_alone(engine: Engine, run: Run) -> None:
    assert [row["column_name"] for row in rows(engine, run, "DESCRIBE data")] == ["_row_id", *SALES[0]]
    assert len(rows(engine, run, "SUMMARIZE data")) == 1 + len(SALES[0])


def test_a_deeply_nested_statement_is_allowed(engine: Engine, run: Run) -> None:
    nested = "SELECT 1 AS n"
    for _ in range(100):
        nested = f"SELECT n FROM ({nested})"
    assert rows(engine, run, nested) == [{"n": 1}]


def _has_only_scalars(row: Row) -> bool:
    return not any(isinstance(value, (list, dict)) for value in row.values())
