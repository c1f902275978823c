"""Hostile ids, names and schemas of publishers are refused, or are data and nothing else."""

import json
import re
from pathlib import Path

import pytest

from engine.errors import InvalidInput
from engine.stores import DirectoryStore
from tests.attack.payloads import PATHS, SQL
from tests.helpers.engine import TEAM, Engine
from tests.helpers.server import KEY, Server

TEXTS = [*SQL, *PATHS, "a\r\nset-cookie: b=c", "<script>alert(1)</script>", 'a"; filename=b']
_ID = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""The grammar of the contract."""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "engine")


@pytest.mark.parametrize("place", ["workflow", "run", "team"])
def test_a_malformed_id_is_refused(engine: Engine, place: str) -> None:
    source = engine.write_json([{"a": 1}])
    for text in TEXTS:
        if not _ID.fullmatch(text):
            with pytest.raises(InvalidInput, match=f"The {place} .* is not an id"):
                engine.publish(source, **{place: text})
    assert engine.keys() == []


def test_an_unknown_type_in_a_schema_is_refused(engine: Engine) -> None:
    source = engine.write_json([{"a": 1}])
    for text in TEXTS:
        with pytest.raises(InvalidInput, match="the dataType"):
            engine.publish(source, schema=engine.write_schema(a=text))


def test_a_schema_field_that_no_file_has_is_null(engine: Engine) -> None:
    """Whatever its name, it is one column and nothing else."""
    names = list({text.lower(): text for text in TEXTS if text and text[0] != "_" and "\0" not in text}.values())
    names = [name for name in names if name not in ("file_row_number", "file_index")]
    schema = {"fields": [{"name": name, "dataType": "STRING"} for name in [*names, "a"]]}
    engine.publish(engine.write_json([{"a": "x"}]), schema=engine.write("schema.json", json.dumps(schema)))
    assert engine.export_rows() == [{**dict.fromkeys(names), "a": "x"}]


def test_a_hostile_workflow_name_is_shown_unchanged(tmp_path: Path) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path) as server:
        engine = Engine(tmp_path / "engine", DirectoryStore(tmp_path / "store" / "results"))
        source = engine.write_json([{"a": 1}])
        engine.publish(source, workflow="first", team=TEAM, name=TEXTS[-3])
        for number, text in enumerate(TEXTS):
            engine.publish(source, workflow=f"w{number}", team=TEAM, name=text)
        answer = server.request("/v4/workflows?limit=1000", headers={"x-api-key": KEY})
        assert answer.status == 200
        shown = {row["workflowId"]: row["name"] for row in answer.json()["workflows"]}
        assert shown == {
            "first": TEXTS[-3],
            **{f"w{number}": text or f"w{number}" for number, text in enumerate(TEXTS)},
        }
        file = server.request(server.export("first").json()["url"])
        assert "first-r." in file.headers["content-disposition"]
        assert "set-cookie" not in file.headers
