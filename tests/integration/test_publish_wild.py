"""Public CSV files as people have them: published exactly, at the latest with the option that the refusal names."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidInput
from engine.publishing.options import ReadOptions
from tests.helpers.cells import Rows, differences
from tests.helpers.engine import Engine
from tests.helpers.shared import DATA, missing

WILD = DATA / "wild"

if not (WILD / "expected.json").is_file():
    pytest.skip(missing(WILD), allow_module_level=True)

FILES: list[dict[str, Any]] = [
    entry for entry in json.loads((WILD / "expected.json").read_text("utf-8")) if "delimiter" in entry
]
_MOST_OPTIONS = 4


def test_there_are_files() -> None:
    assert len(FILES) > 15


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: str(entry["file"]))
def test_a_file_is_published_exactly(entry: dict[str, Any], tmp_path: Path) -> None:
    engine, path, options = Engine(tmp_path), WILD / entry["file"], ReadOptions()
    for _ in range(_MOST_OPTIONS):
        try:
            engine.publish(path, options=options)
        except InvalidInput as error:
            options = _followed(entry, error.message, options)
        else:
            break
    header, rows = _read(path, entry, options)
    assert differences(engine, header, rows) == []
    if not options.skip_lines:
        assert len(rows) == entry["rows"]


_NAMED = re.compile(r"--(skip-lines (\d+)|delimiter (\$'\\t'|'.')|encoding|rename-duplicates|pad-short-rows)")


def _followed(entry: dict[str, Any], message: str, options: ReadOptions) -> ReadOptions:
    """The options with the one that the message names."""
    assert entry["file"] in message
    found = _NAMED.search(message)
    assert found, message
    if found[2]:
        return replace(options, skip_lines=int(found[2]))
    if found[3]:
        return replace(options, delimiter="\t" if found[3][0] == "$" else found[3][1])
    match found[1]:
        case "encoding":
            named = re.search(r"--encoding (\S+) can read", message)
            assert named, message
            return replace(options, encoding=named[1])
        case "rename-duplicates":
            return replace(options, rename_duplicates=True)
        case _:
            return replace(options, pad_short_rows=True)


def _read(path: Path, entry: dict[str, Any], options: ReadOptions) -> tuple[list[str], Rows]:
    # Where the encoding of Python's codec has no such byte, another one was stated.
    encoding = "latin-1" if options.encoding == "latin-1" else entry["encoding"]
    with path.open(encoding=encoding, newline="") as file:
        for _ in range(options.skip_lines):
            file.readline()
        header, *rows = [row for row in csv.reader(file, delimiter=entry["delimiter"]) if row]
    if not options.skip_lines:
        # The first names only, where there are many.
        assert header[: len(entry["header"])] == entry["header"]
    names: list[str] = []
    for number, name in enumerate(header, 1):
        plain = name or f"column_{number}"
        repeated = sum(other.lower() == plain.lower() for other in header[: number - 1])
        names.append(f"{plain}_{repeated + 1}" if repeated else plain)
    padded = [[*row, *[""] * (len(names) - len(row))] for row in rows]
    # None of these files has a quoted empty cell.
    return names, [[cell or None for cell in row] for row in padded]
