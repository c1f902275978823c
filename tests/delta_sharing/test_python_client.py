"""The official Python client, of version 1.4.2, reads what the service shares. (It has no reader of Arrow tables.)"""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.delta_sharing.conftest import COLUMNS, ROWS, Client, Shared

TABLE = "~my~0~orders"


def expected(n: int) -> dict[str, Any]:
    """The row of that number, as the client is to have it; numbers and times that JSON lacks are text."""
    moment = datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=n)
    return {
        "n": n,
        "big": str(2**64 - 1 - n),
        "id": f"00112233-4455-6677-8899-{n:012x}",
        "at": str(timedelta(hours=10, seconds=n)),
        "text": None if n % 3 == 0 else f"é {n}",
        "price": n / 4,
        "day": str(date(2024, 1, 1) + timedelta(days=n)),
        "moment": str(moment),
        "tags": ["a", None],
        "inner": {"u": n % 256, "deep": {"text": "x"}},
    }


def test_the_client_lists_shares_schemas_and_tables(client: Client) -> None:
    found = client.run(
        "c = ds.SharingClient(profile)\n"
        "shares = c.list_shares()\n"
        "schemas = c.list_schemas(shares[0])\n"
        "tables = c.list_tables(schemas[0])\n"
        "print(json.dumps([[s.name for s in shares], [s.name for s in schemas], [t.name for t in tables],"
        " [(t.share, t.schema, t.name) for t in c.list_all_tables()]]))"
    )
    names = [TABLE, "empty", "my-orders"]
    assert found == [["acme"], ["default"], names, [["acme", "default", name] for name in names]]


@pytest.mark.parametrize("delta", ["None", "False", "True"], ids=["default", "parquet", "delta"])
def test_pandas_has_every_row_and_value(client: Client, delta: str) -> None:
    found = client.run(
        f"frame = ds.load_as_pandas(url('{TABLE}'), use_delta_format={delta})\n"
        "for name in ('big', 'day', 'moment'): frame[name] = frame[name].astype(str)\n"
        "frame['price'] = frame['price'].astype(float)\n"
        "print(frame.to_json(orient='split', double_precision=15))"
    )
    assert found["columns"] == list(COLUMNS)
    assert found["data"] == [list(expected(n).values()) for n in range(ROWS)]


def test_a_limit_returns_that_many_rows(client: Client) -> None:
    assert client.run(f"print(len(ds.load_as_pandas(url('{TABLE}'), limit=7)))") == 7


def test_a_version_and_a_run_are_read_by_their_numbers_and_names(client: Client) -> None:
    found = client.run(
        f"print(json.dumps([ds.get_table_version(url('{TABLE}')),"
        f" len(ds.load_as_pandas(url('{TABLE}'), version=1)),"
        f" len(ds.load_as_pandas(url('{TABLE}'), version=2)),"
        f" len(ds.load_as_pandas(url('{TABLE}@2026~01')))]))"
    )
    assert found == [2, 10, ROWS, 10]


@pytest.mark.parametrize("delta", ["False", "True"], ids=["parquet", "delta"])
def test_a_table_without_rows_has_its_columns(client: Client, delta: str) -> None:
    found = client.run(
        f"frame = ds.load_as_pandas(url('empty'), use_delta_format={delta})\n"
        "print(json.dumps([list(frame.columns), len(frame)]))"
    )
    assert found == [list(COLUMNS), 0]


def test_the_client_reads_the_metadata_and_the_protocol(client: Client) -> None:
    found = client.run(
        f"m = ds.get_table_metadata(url('{TABLE}'), use_delta_format=False)\n"
        f"p = ds.get_table_protocol(url('{TABLE}'), use_delta_format=False)\n"
        "print(json.dumps([m.format.provider, m.partition_columns, m.schema_string, p.min_reader_version]))"
    )
    provider, partitions, schema, reader = found
    assert (provider, partitions, reader) == ("parquet", [], 1)
    assert [field["name"] for field in json.loads(schema)["fields"]] == list(COLUMNS)


@pytest.mark.parametrize(
    ("table", "version", "said"),
    [
        ("theirs", None, "404"),
        ("failed", None, "404"),
        ("nobody", None, "404"),
        (TABLE, 9, "Version 9 is not available"),
    ],
)
def test_a_missing_table_or_version_is_an_error(client: Client, table: str, version: int | None, said: str) -> None:
    found = client.run(
        f"try:\n    print(json.dumps(str(ds.load_as_pandas(url('{table}'), version={version}))))\n"
        "except Exception as error:\n    print(json.dumps(str(error)))"
    )
    assert said in found


def test_the_change_data_feed_is_refused_with_the_reason(client: Client) -> None:
    found = client.run(
        f"try:\n    print(json.dumps(str(ds.load_table_changes_as_pandas(url('{TABLE}'), starting_version=1))))\n"
        "except Exception as error:\n    print(json.dumps(str(error)))"
    )
    assert "cdf is not enabled" in found


def test_the_log_names_route_and_run(client: Client, shared: Shared) -> None:
    client.run(f"print(len(ds.load_as_pandas(url('{TABLE}'))))")
    entries = [line for line in shared.server.logged() if line.get("route", "").endswith("{table}/query")]
    assert entries[-1]["workflow_id"] == "My.Orders"
    assert (entries[-1]["run"], entries[-1]["team"], entries[-1]["rows"]) == ("2026.2", "acme", ROWS)
