"""The tables of tests/faults/README.md are the tests: no fault is missing, and none is described that no test tries."""

import re
from pathlib import Path

from tests.attack.payloads import PATHS, SQL
from tests.attack.tampered import REQUESTS, TAMPERED, TIMES
from tests.attack.test_raw_requests import BODIES, CASES
from tests.faults import test_clocks, test_disks, test_ends, test_kills, test_sources, test_sweeps
from tests.faults.fault_table import NEXT, WHOLE, Outcome, table_rows
from tests.faults.test_store_faults import COPYING, FAILED, INSTEAD, READING, RECOVERED, WRITING
from tests.integration.test_sort_limits import BEYOND
from tests.load.clients import REQUEST_NAMES

ROOT = Path(__file__).parents[2]
README = (Path(__file__).parent / "README.md").read_text("utf-8")
_LIMIT = Outcome("400 `limit_exceeded`", NEXT)

PARAMETRIZED = (
    (test_kills.OUTCOMES, "test_a_kill_leaves_no_partial_file"),
    (test_ends.OUTCOMES, "test_an_export_that_ends_early_leaves_nothing"),
    (test_disks.OUTCOMES, "test_a_full_disk_raises_an_error_and_leaves_nothing"),
    ({"the disk under the spill directory is full": _LIMIT}, "test_a_sort_whose_disk_is_full_is_refused"),
    (dict.fromkeys(BEYOND, _LIMIT), "test_a_sort_beyond_its_limits_is_refused"),
    (test_sources.OUTCOMES, "test_a_damaged_part_fails_the_export_and_leaves_no_file"),
    (test_sources.BIT_ROT, "test_bit_rot_fails_the_export_or_is_found_by_verify"),
    (test_clocks.OUTCOMES, "test_a_clock_jump_removes_no_file"),
    ({name: outcome for name, (_, _, outcome) in test_sweeps.DOWNLOADS.items()}, "test_a_sweep_during_a_download"),
    (test_sweeps.EXPORTS, "test_a_sweep_during_an_export_removes_nothing_of_it"),
)
"""Faults that are the parameters of a test, with that test."""

_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def store_rows() -> list[str]:
    """The rows of the table of stores that fail."""
    left = {RECOVERED: WHOLE, INSTEAD: WHOLE, FAILED: NEXT}
    cases = [(name, outcome) for table in (WRITING, READING, COPYING) for name, (_, outcome) in table.items()]
    return [f"| {name} | {outcome} | {left[outcome]} |" for name, outcome in cases]


def parametrized_rows() -> list[str]:
    """The rows of the faults that are parameters of a test."""
    return [row for outcomes, test in PARAMETRIZED for row in table_rows(outcomes, test)]


def fault_rows() -> list[str]:
    """The rows of the tables of faults in the README."""
    faults = README.split("\n## Attacks\n")[0]
    return [line for line in faults.splitlines() if line.startswith("| ") and not line.startswith("| what went wrong")]


def test_the_readme_lists_exactly_the_tested_faults() -> None:
    expected = store_rows() + parametrized_rows()
    assert fault_rows()[: len(expected)] == expected
    # The others have a separate test each; a row is written nowhere else.
    others = [row.strip("| ").split(" | ") for row in fault_rows()[len(expected) :]]
    assert others
    assert [row for row in others if len(row) != 4] == []
    parametrized = {test for _, test in PARAMETRIZED}
    assert [row for row in others if row[3].strip("`") in parametrized] == []


COUNTS = {
    "pieces of SQL": len(SQL),
    "paths for each id": len(PATHS),
    "requests as bytes on the socket": len(CASES),
    "bodies that are bombs": len(BODIES),
    "signed URLs": len(TAMPERED),
    "clocks beside a URL's end": len(TIMES),
    "other ways to ask": len(REQUESTS),
}
"""The counts in the paragraph on attacks."""


def test_the_readme_counts_the_tested_attacks() -> None:
    paragraph = README.split("(`tests/attack`): ")[1].split("\n\n")[0]
    text = " ".join(paragraph.split())
    assert [name for name, count in COUNTS.items() if f" {count} {name}" not in f" {text}"] == []


def test_the_load_table_uses_the_names_of_the_load_test() -> None:
    table = README.split("\n## Under load\n")[1].split("\n|---")[1].split("\n\n")[0]
    names = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[1:]]
    assert names
    assert set(names) <= set(REQUEST_NAMES)


def test_every_listed_test_exists() -> None:
    tests = {name for path in (ROOT / "tests").rglob("test_*.py") for name in _TEST.findall(path.read_text("utf-8"))}
    listed = {row.rpartition("`test_")[2].partition("`")[0] for row in fault_rows()[len(store_rows()) :]}
    assert {f"test_{name}" for name in listed} <= tests
