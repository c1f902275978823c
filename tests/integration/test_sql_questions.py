"""The questions of an analyst's day, each one statement of `tailrace sql`, against plain Python over the same rows."""

import csv
import io
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import Any

import pyarrow.parquet
import pytest

from engine.catalog.manifest import State
from engine.common.chunk import Chunk
from engine.query.inspect.session import Inspection, open_inspection
from engine.request.formats import FORMATS
from tests.helpers.engine import Engine

Row = dict[str, Any]

TITLES, CITIES, TAGS = ("Cook", "Nurse", "Clerk"), ("Oslo", "Rome", "Lima", None), ("new", "remote", "night")
RUNS = ("mon", "tue", "wed")
EXECUTED = dict(
    zip(RUNS, (datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in ((23, 6), (24, 6), (25, 9))), strict=True)
)


def job(n: int, run: str) -> Row:
    """A job as a run has it: salaries rise, `legacy` goes, `remote` comes, and `level` becomes text."""
    raised = 100 * (n % 10 == 0 and run != "mon") + 50 * (n % 15 == 0 and run == "wed")
    row: Row = {
        "id": f"j{n:03}",
        "title": {12: " Cook 5", 13: "NURSE 6"}.get(n, f"{TITLES[n % 3]} {n % 7}"),
        "company": "cx" if n == 7 else f"c{n % 6}",
        "city": CITIES[n % 4],
        "salary": None if n % 9 == 8 else 1000 + 37 * n + raised + (50_000 if n == 40 else 0),
        "posted": f"2026-{9 + n % 3:02}-{1 + n % 28:02}",
        "url": f"{'http' if n % 11 == 5 else 'https'}://jobs.example/{n}",
        "hours": 37.5 if n % 2 else 20.25,
        "note": [None, "", 'say "hi", all'][n % 3],
        "tags": list(TAGS[: n % 4]),
        "pay": {"amount": 100 * n, "currencyCode": "EUR" if n % 2 else "NOK"},
        "meta": {"source": "mail" if n % 5 == 0 else "web", "score": n % 5},
        "raw": json.dumps({"a": {"b": n % 3}, "c": [n, n + 1]}),
        "level": f"L{n % 3}" if run == "wed" else n % 3,
    }
    return row | ({"remote": n % 3 == 0} if run == "wed" else {"legacy": n})


JOBS = {
    "mon": [job(n, "mon") for n in range(60)],
    "tue": [job(n, "tue") for n in range(3, 64) if n != 10],
    "wed": [job(n, "wed") for n in range(5, 71)],
}
MON, TUE, WED = JOBS.values()
COMPANIES: list[Row] = [
    {"company": f"c{n}", "country": ("NO", "IT")[n % 2], "size": 10**n, "founded": f"19{60 + n}-05-01"}
    for n in range(8)
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Three runs of jobs and one that failed, a run of companies, and three exports."""
    engine = Engine(tmp_path_factory.mktemp("questions"))
    for run, rows in JOBS.items():
        engine.publish_rows(rows, run, workflow="jobs", row_id="id", executed_at=EXECUTED[run])
    engine.publish_rows(MON[:1], "bad", workflow="jobs", state=State.FAILED, executed_at=EXECUTED["wed"])
    engine.publish_rows(COMPANIES, "all", workflow="companies", row_id="company")
    for name in ("csv", "json"):
        engine.export(name, workflow="jobs")
    engine.export("csv", workflow="companies")
    return engine


@pytest.fixture(scope="module")
def session(engine: Engine) -> Iterator[Inspection]:
    """A session over all of them."""
    with open_inspection(engine.results, engine.store, engine.settings(2)) as session:
        yield session


def ids(rows: list[Row]) -> set[str]:
    return {row["id"] for row in rows}


def only(rows: list[Row], keep: Callable[[Row], object], *names: str) -> list[Row]:
    """The rows that are kept, with these columns."""
    return [{name: row[name] for name in names or ("id",)} for row in rows if keep(row)]


def both(old: list[Row], new: list[Row]) -> list[tuple[Row, Row]]:
    before = {row["id"]: row for row in old}
    return [(before[row["id"]], row) for row in new if row["id"] in before]


def grouped(rows: list[Row], name: str) -> dict[Any, list[Row]]:
    """The rows by the value of a column, in order, null last."""
    groups: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[name]].append(row)
    return {key: groups[key] for key in sorted(groups, key=lambda key: (key is None, key))}


def paid(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["salary"] is not None]


def by_run(count: Callable[[list[Row]], object], name: str) -> list[Row]:
    return [{"run": run, name: count(rows)} for run, rows in JOBS.items()]


def rises() -> list[Row]:
    found = [{"id": new["id"], "rise": new["salary"] - old["salary"]} for old, new in both(MON, WED) if old["salary"]]
    return sorted((row for row in found if row["rise"] > 0), key=lambda row: (-row["rise"], row["id"]))


def last_seen() -> list[Row]:
    seen = {row["id"]: run for run, rows in JOBS.items() for row in rows}
    return [{"id": one, "last": run} for one, run in sorted(seen.items()) if run != "wed"]


def by_country() -> list[Row]:
    countries = {row["company"]: row["country"] for row in COMPANIES}
    counts = Counter(countries[row["company"]] for row in WED if row["company"] in countries)
    return [{"country": country, "jobs": counts[country]} for country in sorted(counts)]


def cities_then_and_now() -> list[Row]:
    then, now = (Counter(row["city"] or "?" for row in rows) for rows in (MON, WED))
    return [{"city": city, "then": then[city], "now": now[city]} for city in sorted(then | now)]


def doubles() -> list[Row]:
    groups: defaultdict[tuple[str, Any], list[str]] = defaultdict(list)
    for row in WED:
        groups[row["title"], row["city"]].append(row["id"])
    found = [{"title": t, "city": c, "ids": found} for (t, c), found in groups.items() if len(found) > 1]
    return sorted(found, key=lambda row: (row["title"], row["city"] is None, row["city"]))


def spellings() -> list[Row]:
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in WED:
        groups[row["title"].lower()].add(row["title"])
    return [{"title": key, "spellings": sorted(names)} for key, names in sorted(groups.items()) if len(names) > 1]


def pairs_of_tags() -> list[Row]:
    counts = Counter((a, b) for row in WED for a in row["tags"] for b in row["tags"] if a < b)
    return [{"a": a, "b": b, "jobs": n} for (a, b), n in sorted(counts.items())]


def fields_changed() -> list[Row]:
    counts = Counter(name for old, new in both(MON, TUE) for name in new if old[name] != new[name])
    return [{"field": name, "rows": n} for name, n in sorted(counts.items())]


def best_of_cities() -> list[Row]:
    return [
        {"city": city, "id": row["id"]}
        for city, rows in grouped(paid(WED), "city").items()
        for row in sorted(rows, key=lambda row: (-row["salary"], row["id"]))[:2]
    ]


def above_the_mean() -> list[Row]:
    means = {city: statistics.mean(row["salary"] for row in rows) for city, rows in grouped(paid(WED), "city").items()}
    found = [{"id": row["id"], "above": round(row["salary"] - means[row["city"]])} for row in paid(WED)]
    return sorted(found, key=lambda row: (-row["above"], row["id"]))[:5]


def moving_means() -> list[Row]:
    counts = [len(rows) for rows in grouped(WED, "posted").values()]
    days = list(grouped(WED, "posted"))
    means = [statistics.mean(counts[max(0, at - 2) : at + 1]) for at in range(len(counts))]
    return [{"posted": day, "mean": round(mean, 6)} for day, mean in zip(days, means, strict=True)]


def quarters() -> list[Row]:
    ordered = sorted(paid(WED), key=lambda row: (row["salary"], row["id"]))
    # ntile() gives the first groups one more.
    size, more = divmod(len(ordered), 4)
    found, start = [], 0
    for number in range(4):
        part = ordered[start : start + size + (number < more)]
        start += len(part)
        found.append({"quarter": number + 1, "least": part[0]["salary"], "most": part[-1]["salary"]})
    return found


def pivoted() -> list[Row]:
    counts = Counter((row["posted"][:7], row["city"]) for row in WED)
    return [
        {"month": month, **{city: counts[month, city] for city in ("Lima", "Oslo", "Rome")}}
        for month in ("2026-09", "2026-10", "2026-11")
    ]


Question = tuple[str, Callable[[], list[Row]]]

RUNS_JOINED: dict[str, Question] = {
    "what is new?": (
        "SELECT id FROM result('jobs', 'wed') ANTI JOIN result('jobs', 'tue') USING (id) ORDER BY id",
        lambda: only(WED, lambda row: row["id"] not in ids(TUE)),
    ),
    "what is gone?": (
        "SELECT id FROM result('jobs', 'tue') ANTI JOIN result('jobs') USING (id) ORDER BY id",
        lambda: only(TUE, lambda row: row["id"] not in ids(WED)),
    ),
    "what was there all the time?": (
        "SELECT count(*) AS n FROM result('jobs', 'mon') SEMI JOIN result('jobs', 'tue') USING (id) "
        "SEMI JOIN result('jobs', 'wed') USING (id)",
        lambda: [{"n": len(ids(MON) & ids(TUE) & ids(WED))}],
    ),
    "what came back?": (
        "SELECT id FROM result('jobs', 'mon') SEMI JOIN result('jobs', 'wed') USING (id) "
        "ANTI JOIN result('jobs', 'tue') USING (id) ORDER BY id",
        lambda: [{"id": one} for one in sorted(ids(MON) & ids(WED) - ids(TUE))],
    ),
    "whose salary rose?": (
        "SELECT id, new.salary - old.salary AS rise FROM result('jobs', 'mon') AS old "
        "JOIN result('jobs', 'wed') AS new USING (id) WHERE rise > 0 ORDER BY rise DESC, id",
        rises,
    ),
    "when was each job seen last?": (
        "SELECT id, arg_max(_run_id, _executed_at) AS last FROM history('jobs') GROUP BY id "
        "HAVING last <> 'wed' ORDER BY id",
        last_seen,
    ),
    "how many jobs are in each country?": (
        "SELECT country, count(*) AS jobs FROM result('jobs') JOIN result('companies') USING (company) "
        "GROUP BY ALL ORDER BY country",
        by_country,
    ),
    "which companies have no jobs?": (
        "SELECT company FROM result('companies') ANTI JOIN result('jobs') USING (company) ORDER BY company",
        lambda: only(COMPANIES, lambda row: row["company"] not in {one["company"] for one in WED}, "company"),
    ),
    "which jobs have no company?": (
        "SELECT id FROM result('jobs') WHERE company NOT IN (SELECT company FROM result('companies'))",
        lambda: only(WED, lambda row: row["company"] == "cx"),
    ),
    "how many jobs of each city are there, then and now?": (
        "SELECT city, coalesce(old.jobs, 0) AS then, coalesce(new.jobs, 0) AS now "
        "FROM (SELECT coalesce(city, '?') AS city, count(*) AS jobs FROM result('jobs', 'mon') GROUP BY ALL) AS old "
        "FULL JOIN (SELECT coalesce(city, '?') AS city, count(*) AS jobs FROM result('jobs') GROUP BY ALL) AS new "
        "USING (city) ORDER BY city",
        cities_then_and_now,
    ),
}
DRIFT: dict[str, Question] = {
    "do the rows become fewer?": (
        "SELECT run, rows - lag(rows) OVER (ORDER BY executed_at) AS difference FROM runs "
        "WHERE workflow = 'jobs' AND state = 'FINISHED' ORDER BY executed_at",
        lambda: [
            {"run": run, "difference": None if at == 0 else len(JOBS[run]) - len(JOBS[RUNS[at - 1]])}
            for at, run in enumerate(RUNS)
        ],
    ),
    "which columns are new?": (
        "SELECT name FROM columns WHERE workflow = 'jobs' AND run = 'wed' AND name NOT IN "
        "(SELECT name FROM columns WHERE workflow = 'jobs' AND run = 'tue')",
        lambda: [{"name": "remote"}],
    ),
    "which columns are gone?": (
        "SELECT name FROM columns WHERE workflow = 'jobs' AND run = 'tue' AND name NOT IN "
        "(SELECT name FROM columns WHERE workflow = 'jobs' AND run = 'wed')",
        lambda: [{"name": "legacy"}],
    ),
    "which columns have another type?": (
        "SELECT name, old.type AS before, new.type AS after FROM columns AS old "
        "JOIN columns AS new USING (workflow, name) "
        "WHERE workflow = 'jobs' AND old.run = 'tue' AND new.run = 'wed' AND before <> after",
        lambda: [{"name": "level", "before": "BIGINT", "after": "VARCHAR"}],
    ),
    "how many salaries are missing in each run?": (
        "SELECT _run_id AS run, count(*) - count(salary) AS missing FROM history('jobs') GROUP BY ALL "
        "ORDER BY min(_executed_at)",
        lambda: by_run(lambda rows: len(rows) - len(paid(rows)), "missing"),
    ),
    "does the median salary move?": (
        "SELECT _run_id AS run, quantile_disc(salary, 0.5) AS median FROM history('jobs') GROUP BY ALL "
        "ORDER BY min(_executed_at)",
        lambda: by_run(lambda rows: statistics.median_low(row["salary"] for row in paid(rows)), "median"),
    ),
    "how many companies does each run have?": (
        "SELECT _run_id AS run, count(DISTINCT company) AS companies FROM history('jobs') GROUP BY ALL "
        "ORDER BY min(_executed_at)",
        lambda: by_run(lambda rows: len({row["company"] for row in rows}), "companies"),
    ),
    "how many hours lie between runs?": (
        "SELECT run, date_diff('hour', lag(executed_at) OVER (ORDER BY executed_at), executed_at) AS hours FROM runs "
        "WHERE workflow = 'jobs' AND state = 'FINISHED' ORDER BY executed_at",
        lambda: [
            {"run": "mon", "hours": None},
            *({"run": b, "hours": (EXECUTED[b] - EXECUTED[a]).total_seconds() // 3600} for a, b in pairwise(RUNS)),
        ],
    ),
    "which levels are there over time?": (
        "SELECT level, list(DISTINCT _run_id ORDER BY _run_id) AS runs FROM history('jobs') "
        "GROUP BY ALL ORDER BY level",
        lambda: [
            *({"level": str(level), "runs": ["mon", "tue"]} for level in range(3)),
            *({"level": f"L{level}", "runs": ["wed"]} for level in range(3)),
        ],
    ),
}
QUALITY: dict[str, Question] = {
    "which columns have nulls?": (
        "SELECT name, nulls FROM profile('jobs') WHERE nulls > 0 ORDER BY name",
        lambda: [
            {"name": name, "nulls": nulls}
            for name in sorted(WED[0])
            if (nulls := sum(row[name] is None for row in WED))
        ],
    ),
    "how many values does each column have?": (
        "SELECT name, distinct_values FROM profile('jobs') WHERE type = 'VARCHAR' AND name <> '_row_id' ORDER BY name",
        lambda: [
            {"name": name, "distinct_values": len({row[name] for row in WED} - {None})}
            for name in sorted(WED[0])
            if all(isinstance(row[name], str | None) for row in WED)
        ],
    ),
    "what is there twice?": (
        "SELECT title, city, list(id ORDER BY id) AS ids FROM result('jobs') GROUP BY ALL HAVING count(*) > 1 "
        "ORDER BY title, city",
        doubles,
    ),
    "what is empty rather than null?": (
        "SELECT id FROM result('jobs') WHERE note = '' ORDER BY id",
        lambda: only(WED, lambda row: row["note"] == ""),
    ),
    "what is unlike the rest?": (
        "SELECT id, salary FROM result('jobs') WHERE salary > 3 * (SELECT median(salary) FROM result('jobs'))",
        lambda: only(
            paid(WED),
            lambda row: row["salary"] > 3 * statistics.median(one["salary"] for one in paid(WED)),
            *("id", "salary"),
        ),
    ),
    "which links are not encrypted?": (
        "SELECT id FROM result('jobs') WHERE NOT starts_with(url, 'https://') ORDER BY id",
        lambda: only(WED, lambda row: not row["url"].startswith("https://")),
    ),
    "which dates lie in the future?": (
        "SELECT id FROM result('jobs') WHERE posted::DATE > DATE '2026-11-20' ORDER BY id",
        lambda: only(WED, lambda row: row["posted"] > "2026-11-20"),
    ),
    "which titles have blanks around them?": (
        "SELECT id FROM result('jobs') WHERE title <> trim(title)",
        lambda: only(WED, lambda row: row["title"] != row["title"].strip()),
    ),
    "what is spelled in several ways?": (
        "SELECT lower(title) AS title, list(DISTINCT title ORDER BY title) AS spellings FROM result('jobs') "
        "GROUP BY lower(title) HAVING len(spellings) > 1 ORDER BY 1",
        spellings,
    ),
    "how many rows are complete?": (
        "SELECT count(*) FILTER (WHERE city IS NOT NULL AND salary IS NOT NULL) AS complete, count(*) AS rows "
        "FROM result('jobs')",
        lambda: [{"complete": sum(row["city"] is not None for row in paid(WED)), "rows": len(WED)}],
    ),
    "does an id occur twice?": (
        "SELECT count(*) - count(DISTINCT id) AS twice FROM result('jobs')",
        lambda: [{"twice": 0}],
    ),
}
DIFFS: dict[str, Question] = {
    "how many rows changed?": (
        "SELECT change, count(*) AS rows FROM run_diff('jobs', 'mon', 'tue') GROUP BY ALL ORDER BY change",
        lambda: [
            {"change": "added", "rows": len(ids(TUE) - ids(MON))},
            {"change": "changed", "rows": sum(old != new for old, new in both(MON, TUE))},
            {"change": "removed", "rows": len(ids(MON) - ids(TUE))},
        ],
    ),
    "which fields changed?": (
        "SELECT c.field, count(*) AS rows FROM run_diff('jobs', 'mon', 'tue') AS d, unnest(d.changes) AS u(c) "
        "WHERE d.change = 'changed' GROUP BY ALL ORDER BY c.field",
        fields_changed,
    ),
    "which rows were removed?": (
        "SELECT row_id AS id FROM run_diff('jobs', 'mon', 'tue') WHERE change = 'removed' ORDER BY id",
        lambda: [{"id": one} for one in sorted(ids(MON) - ids(TUE))],
    ),
    "what changed in one row?": (
        "SELECT c.field, c.before, c.after FROM run_diff('jobs', 'mon', 'tue') AS d, unnest(d.changes) AS u(c) "
        "WHERE row_id = 'j020'",
        lambda: [{"field": "salary", "before": "1740", "after": "1840"}],
    ),
    "what happened to the schema?": (
        "SELECT c.field FROM run_diff('jobs', 'tue', 'wed') AS d, unnest(d.changes) AS u(c) "
        "WHERE d.change = 'schema' ORDER BY c.field",
        lambda: [{"field": name} for name in ("legacy", "level", "remote")],
    ),
}
OBJECTS: dict[str, Question] = {
    "how much is paid in each currency?": (
        "SELECT pay.currencyCode AS currency, sum(pay.amount) AS total FROM result('jobs') "
        "GROUP BY ALL ORDER BY currency",
        lambda: [
            {"currency": code, "total": sum(r["pay"]["amount"] for r in WED if r["pay"]["currencyCode"] == code)}
            for code in ("EUR", "NOK")
        ],
    ),
    "which jobs came by mail?": (
        "SELECT id FROM result('jobs') WHERE meta.source = 'mail' ORDER BY id",
        lambda: only(WED, lambda row: row["meta"]["source"] == "mail"),
    ),
    "what are the members of an object, as columns?": (
        "SELECT id, pay.* FROM result('jobs') WHERE salary IS NULL ORDER BY id LIMIT 3",
        lambda: [{"id": row["id"], **row["pay"]} for row in WED if row["salary"] is None][:3],
    ),
    "what does the JSON say?": (
        "SELECT (raw::JSON->'a'->>'b')::INT AS b, count(*) AS jobs FROM result('jobs') GROUP BY ALL ORDER BY b",
        lambda: [{"b": b, "jobs": sum(json.loads(r["raw"])["a"]["b"] == b for r in WED)} for b in range(3)],
    ),
    "what is the sum of the numbers in the JSON?": (
        "SELECT id, list_sum(from_json(raw::JSON->'c', '[\"INT\"]')) AS total FROM result('jobs') ORDER BY id LIMIT 3",
        lambda: [{"id": row["id"], "total": sum(json.loads(row["raw"])["c"])} for row in WED[:3]],
    ),
    "what does an object look like as JSON?": (
        "SELECT to_json(meta)::VARCHAR AS meta FROM result('jobs') WHERE id = 'j011'",
        lambda: [{"meta": '{"source":"web","score":1}'}],
    ),
}
LISTS: dict[str, Question] = {
    "how often does each tag occur?": (
        "SELECT tag, count(*) AS jobs FROM (SELECT unnest(tags) AS tag FROM result('jobs')) GROUP BY ALL ORDER BY tag",
        lambda: [
            {"tag": tag, "jobs": jobs} for tag, jobs in sorted(Counter(t for r in WED for t in r["tags"]).items())
        ],
    ),
    "which jobs are at night?": (
        "SELECT id FROM result('jobs') WHERE 'night' IN tags ORDER BY id",
        lambda: only(WED, lambda row: "night" in row["tags"]),
    ),
    "which jobs have no tags?": (
        "SELECT id FROM result('jobs') WHERE len(tags) = 0 ORDER BY id",
        lambda: only(WED, lambda row: not row["tags"]),
    ),
    "how many tags has a job?": (
        "SELECT len(tags) AS tags, count(*) AS jobs FROM result('jobs') GROUP BY ALL ORDER BY tags",
        lambda: [{"tags": n, "jobs": jobs} for n, jobs in sorted(Counter(len(r["tags"]) for r in WED).items())],
    ),
    "which tags occur together?": (
        "SELECT a, b, count(*) AS jobs FROM (SELECT unnest(tags) AS a, tags FROM result('jobs')) AS x, "
        "unnest(x.tags) AS y(b) WHERE a < b GROUP BY ALL ORDER BY a, b",
        pairs_of_tags,
    ),
    "which jobs does each company have?": (
        "SELECT company, list(id ORDER BY id) AS ids FROM result('jobs') GROUP BY ALL ORDER BY company",
        lambda: [{"company": c, "ids": [row["id"] for row in rows]} for c, rows in grouped(WED, "company").items()],
    ),
    "what are the tags in upper case?": (
        "SELECT id, [upper(tag) FOR tag IN tags IF tag <> 'new'] AS tags FROM result('jobs') ORDER BY id LIMIT 4",
        lambda: [{"id": row["id"], "tags": [t.upper() for t in row["tags"] if t != "new"]} for row in WED[:4]],
    ),
}
WINDOWS: dict[str, Question] = {
    "which two jobs of each city are paid best?": (
        "SELECT city, id FROM result('jobs') WHERE salary IS NOT NULL QUALIFY row_number() OVER "
        "(PARTITION BY city ORDER BY salary DESC, id) <= 2 ORDER BY city, salary DESC, id",
        best_of_cities,
    ),
    "how many jobs have been posted by each day?": (
        "SELECT posted, sum(count(*)) OVER (ORDER BY posted) AS total FROM result('jobs') "
        "GROUP BY posted ORDER BY posted",
        lambda: [
            {"posted": day, "total": total}
            for day, total in zip(
                grouped(WED, "posted"), accumulate(len(rows) for rows in grouped(WED, "posted").values()), strict=True
            )
        ],
    ),
    "what is the mean of three days?": (
        "SELECT posted, round(avg(count(*)) OVER (ORDER BY posted ROWS 2 PRECEDING), 6) AS mean FROM result('jobs') "
        "GROUP BY posted ORDER BY posted",
        moving_means,
    ),
    "what are the quarters of the salaries?": (
        "SELECT quarter, min(salary) AS least, max(salary) AS most FROM "
        "(SELECT salary, ntile(4) OVER (ORDER BY salary, id) AS quarter FROM result('jobs') WHERE salary IS NOT NULL) "
        "GROUP BY ALL ORDER BY quarter",
        quarters,
    ),
    "who earns more than the city?": (
        "SELECT id, round(salary - avg(salary) OVER (PARTITION BY city))::INT AS above FROM result('jobs') "
        "WHERE salary IS NOT NULL ORDER BY above DESC, id LIMIT 5",
        above_the_mean,
    ),
    "which was the first job of each company?": (
        "SELECT company, id FROM result('jobs') QUALIFY row_number() OVER "
        "(PARTITION BY company ORDER BY posted, id) = 1 ORDER BY company",
        lambda: [
            {"company": c, "id": min(rows, key=lambda row: (row["posted"], row["id"]))["id"]}
            for c, rows in grouped(WED, "company").items()
        ],
    ),
    "how many jobs of each month are in each city?": (
        "PIVOT (SELECT posted[:7] AS month, city FROM result('jobs')) ON city IN ('Lima', 'Oslo', 'Rome') "
        "USING count(*) ORDER BY month",
        pivoted,
    ),
    "what is each company's share?": (
        "SELECT company, count(*) / sum(count(*)) OVER () AS share FROM result('jobs') GROUP BY ALL ORDER BY company",
        lambda: [{"company": c, "share": len(rows) / len(WED)} for c, rows in grouped(WED, "company").items()],
    ),
}
QUESTIONS = RUNS_JOINED | DRIFT | QUALITY | DIFFS | OBJECTS | LISTS | WINDOWS


def ask(session: Inspection, sql: str, format_name: str = "json") -> bytes:
    """The result of the one statement, as a file."""
    assert len(session.statements(sql)) == 1
    chunks: list[Chunk] = []
    session.write(sql, FORMATS[format_name], chunks.append)
    return b"".join(chunks)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_that_of_plain_python(session: Inspection, question: str) -> None:
    sql, expected = QUESTIONS[question]
    assert json.loads(ask(session, sql)) == expected()


STORAGE: dict[str, tuple[str, Callable[[Engine], list[Row]]]] = {
    "what takes the most space?": (
        "SELECT workflow, sum(bytes) AS bytes FROM runs WHERE state = 'FINISHED' GROUP BY ALL ORDER BY bytes DESC",
        lambda engine: [
            {"workflow": name, "bytes": sum(len(data) for run in runs for data in parts(engine, name, run))}
            for name, runs in (("jobs", RUNS), ("companies", ("all",)))
        ],
    ),
    "which column takes the most space?": (
        "SELECT name, bytes FROM columns WHERE workflow = 'jobs' AND run = 'wed' ORDER BY bytes DESC LIMIT 1",
        lambda engine: [{"name": name, "bytes": size} for name, size in sizes(engine).most_common(1)],
    ),
    "how many cities does each run have, by its files?": (
        "SELECT run, distinct_values FROM columns WHERE workflow = 'jobs' AND state = 'FINISHED' AND name = 'city' "
        "ORDER BY run",
        lambda _: by_run(lambda rows: len({row["city"] for row in rows} - {None}), "distinct_values"),
    ),
    "how many row groups has a run?": (
        "SELECT count(*) AS groups, sum(rows) AS rows FROM row_groups('jobs', 'wed')",
        lambda _: [{"groups": 1, "rows": len(WED)}],
    ),
    "how many files has each run?": (
        "SELECT run, count(*) AS files FROM files WHERE workflow = 'jobs' AND state = 'FINISHED' "
        "GROUP BY ALL ORDER BY run",
        lambda engine: [{"run": run, "files": len(parts(engine, "jobs", run))} for run in RUNS],
    ),
    "which files can hold a high salary?": (
        "SELECT run FROM files WHERE workflow = 'jobs' AND bounds['salary'].maximum::BIGINT > 50000 ORDER BY run",
        lambda _: [{"run": run} for run, rows in JOBS.items() if max(row["salary"] for row in paid(rows)) > 50_000],
    ),
    "which runs did not finish?": (
        "SELECT run, state FROM runs WHERE state <> 'FINISHED'",
        lambda _: [{"run": "bad", "state": "FAILED"}],
    ),
    "which run of each workflow is the latest?": (
        "SELECT workflow, run, rows FROM latest_runs ORDER BY workflow",
        lambda _: [
            {"workflow": "companies", "run": "all", "rows": len(COMPANIES)},
            {"workflow": "jobs", "run": "wed", "rows": len(WED)},
        ],
    ),
    "which exports are there?": (
        "SELECT workflow, format, count(*) AS files, sum(rows) AS rows FROM exports "
        "GROUP BY ALL ORDER BY workflow, format",
        lambda _: [
            {"workflow": "companies", "format": "csv", "files": 1, "rows": len(COMPANIES)},
            {"workflow": "jobs", "format": "csv", "files": 1, "rows": len(WED)},
            {"workflow": "jobs", "format": "json", "files": 1, "rows": len(WED)},
        ],
    ),
    "what do exports take?": (
        "SELECT workflow, sum(bytes) AS bytes FROM exports GROUP BY ALL ORDER BY workflow",
        lambda engine: [
            {"workflow": name, "bytes": sum(info.size for info in engine.store.list(f"{name}/"))}
            for name in ("companies", "jobs")
        ],
    ),
}


def parts(engine: Engine, workflow: str, run: str) -> list[bytes]:
    """The Parquet files of a run, by the list of the store."""
    listed = engine.store.list(f"workflow={workflow}/run={run}/part-")
    return [engine.store.read(info.key) for info in listed if info.key.endswith(".parquet")]


def sizes(engine: Engine) -> Counter[str]:
    """The bytes of the columns of the latest run, by the footers of its files."""
    found: Counter[str] = Counter()
    for data in parts(engine, "jobs", "wed"):
        footer = pyarrow.parquet.read_metadata(io.BytesIO(data))
        for group in map(footer.row_group, range(footer.num_row_groups)):
            for column in map(group.column, range(footer.num_columns)):
                name = column.path_in_schema.partition(".")[0]
                found[name] += column.total_compressed_size * (not name.startswith("_hash"))
    return found


@pytest.mark.parametrize("question", STORAGE)
def test_an_answer_about_storage_is_that_of_the_files(session: Inspection, engine: Engine, question: str) -> None:
    sql, expected = STORAGE[question]
    assert json.loads(ask(session, sql)) == expected(engine)


EXPORTED = ("whose salary rose?", "which jobs does each company have?", "what does an object look like as JSON?")


@pytest.mark.parametrize("question", EXPORTED)
def test_an_answer_is_the_same_in_every_file(session: Inspection, question: str) -> None:
    sql, expected = QUESTIONS[question]
    rows = expected()
    assert [json.loads(line) for line in ask(session, sql, "jsonl").splitlines()] == rows
    assert pyarrow.parquet.read_table(io.BytesIO(ask(session, sql, "parquet"))).to_pylist() == rows
    texts = [
        {name: json.dumps(v, separators=(",", ":")) if isinstance(v, list) else str(v) for name, v in row.items()}
        for row in rows
    ]
    assert list(csv.DictReader(io.StringIO(ask(session, sql, "csv").decode()))) == texts


def test_there_are_at_least_60_questions() -> None:
    assert len(QUESTIONS) + len(STORAGE) >= 60
