"""Public JSON files as people have them: published exactly, at the latest with the option that the refusal names."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidInput
from engine.publishing.options import ReadOptions
from tests.helpers.engine import Engine
from tests.helpers.shared import DATA, missing

WILD = DATA / "wild"

if not (WILD / "expected.json").is_file():
    pytest.skip(missing(WILD), allow_module_level=True)

FILES = [
    entry["file"]
    for entry in json.loads((WILD / "expected.json").read_text("utf-8"))
    if entry["file"].endswith((".json", ".geojson"))
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_published_exactly(name: str, tmp_path: Path) -> None:
    engine, options = Engine(tmp_path), ReadOptions()
    for _ in range(4):
        try:
            engine.publish(WILD / name, options=options)
        except InvalidInput as error:
            options = _followed(error.message, options)
        else:
            break
    rows = [{options.rename.get(key, key): value for key, value in row.items()} for row in _rows(WILD / name, options)]
    assert [_present(row) for row in engine.export_rows()] == [_present(row) for row in rows]


def _followed(message: str, options: ReadOptions) -> ReadOptions:
    """The options with the one that the message names."""
    found = re.search(r"--(json-path|rename) ([^ ]*[^ .])", message)
    assert found, message
    if found[1] == "json-path":
        return replace(options, json_path=found[2])
    old = found[2].removesuffix("=NEW")
    return replace(options, rename={**options.rename, old: f"renamed{old}"})


def _rows(path: Path, options: ReadOptions) -> list[dict[str, Any]]:
    text = path.read_text("utf-8")
    try:
        found = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]
    for name in (options.json_path or "").split(".") if options.json_path else ():
        found = found[name]
    if path.suffix != ".geojson":
        return list(found)
    members = [
        {name: value for name, value in row.items() if name not in ("type", "properties")} for row in found["features"]
    ]
    return [{**row["properties"], **others} for row, others in zip(found["features"], members, strict=True)]


def _present(value: Any) -> Any:
    """Without members that are null, since a missing one is null."""
    if isinstance(value, dict):
        return {name: _present(inner) for name, inner in value.items() if inner is not None}
    return [_present(item) for item in value] if isinstance(value, list) else value


def test_a_spreadsheet_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="save the sheet as CSV"):
        Engine(tmp_path).publish(WILD / "jobs_data.xlsx")
