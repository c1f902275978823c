"""The tables of tests/faults/README.md are the tests: no fault is missing, and none is described that no test tries."""

import re
from pathlib import Path

from tests.attack.payloads import PATHS, SQL
from tests.attack.tampered import REQUESTS, TAMPERED, TIMES
from tests.attack.test_raw_requests import BODIES, CASES
from tests.faults import test_clocks, test_disks, test_ends, test_kills, test_sources, test_sweeps
from tests.faults.test_store_faults import HEALED, READING, REFUSED, WRITING
from tests.faults.told import NEXT, WHOLE, Told, rows
from tests.integration.test_sort_limits import BEYOND
from tests.load.clients import REQUEST_NAMES

ROOT = Path(__file__).parents[2]
README = (Path(__file__).parent / "README.md").read_text("utf-8")
_LIMIT = Told("400 `limit_exceeded`", NEXT)

HERE = (
    (test_kills.TOLD, "test_a_kill_leaves_no_part_of_a_file"),
    (test_ends.TOLD, "test_what_ends_early_leaves_nothing"),
    (test_disks.TOLD, "test_a_full_disk"),
    ({"the disk under the spill directory is full": _LIMIT}, "test_a_sort_whose_disk_is_full_is_refused"),
    (dict.fromkeys(BEYOND, _LIMIT), "test_a_sort_beyond_its_limits_is_refused"),
    (test_sources.TOLD, "test_a_damaged_run_is_told"),
    (test_sources.ROTTEN, "test_rot_is_told_or_found_by_verify"),
    (test_clocks.TOLD, "test_a_clock_that_jumps_takes_no_file_away"),
    ({name: told for name, (_, _, told) in test_sweeps.DOWNLOADS.items()}, "test_a_sweep_in_a_download"),
    (test_sweeps.EXPORTS, "test_a_sweep_beside_an_export"),
)
"""Faults that are data rows, with the test that goes through them."""

ELSEWHERE = (
    (
        "one of two clients that wait for the same export disconnects",
        Told("the other gets the answer", WHOLE),
        "test_who_leaves_does_not_take_the_export_from_the_others",
    ),
    (
        "a client disconnects during a download",
        Told("-", "the file; no open file"),
        "test_a_client_that_hangs_up_leaves_nothing_behind",
    ),
    ("a download is interrupted", Told("it resumes", "the file"), "test_curl_resumes_what_was_cut"),
    (
        "the process of an asynchronous export dies",
        Told("`failed`, `interrupted`", "no file"),
        "test_a_ticket_of_a_process_that_died_says_so",
    ),
    (
        "more exports than slots",
        Told("503 with Retry-After", "-"),
        "test_who_comes_to_a_full_house_is_told_when_to_come_back",
    ),
    (
        "two replicas make the same export",
        Told("both get the answer", "one file"),
        "test_two_replicas_make_the_same_export",
    ),
    (
        "an upload fails whose name an older object has",
        Told("a clear error", "the older object"),
        "test_an_upload_that_fails_leaves_the_older_object",
    ),
    (
        "a publisher is killed",
        Told("-", "nothing to read, nothing in the way"),
        "test_a_killed_publisher_leaves_nothing_to_read_and_nothing_in_the_way",
    ),
    (
        "the answer to a run's manifest is lost, or its last step fails",
        Told("the publisher gets the error", "the whole run"),
        "test_a_run_whose_publisher_failed_after_its_manifest_keeps_its_parts",
    ),
    (
        "several publish the same run",
        Told("one wins, the others get the error", "one run"),
        "test_of_publishers_of_one_run_exactly_one_wins",
    ),
    (
        "a sweep while another URL is signed",
        Told("the URL opens", "the file"),
        "test_a_sweeper_never_wins_against_a_promise",
    ),
    (
        "a sweeper is slow, and its file is made again meanwhile",
        Told("the URL opens", "the new file"),
        "test_a_slow_sweeper_leaves_what_was_made_anew",
    ),
    (
        "a sweeper is killed half-way",
        Told("-", "the next one finishes"),
        "test_a_sweeper_that_died_is_finished_by_the_next",
    ),
    (
        "a statement exceeds its time or its memory",
        Told("400 `limit_exceeded`", "no process"),
        "test_a_bomb_ends_within_its_time",
    ),
    (
        "a store's marker is gone or unreadable, as when a volume is not mounted",
        Told("503 with the remedy, until it is back", "nothing is written"),
        "test_a_marker_that_vanishes_is_noticed_and_so_is_its_return",
    ),
    (
        "`workflow.json` or `run.json` is damaged",
        Told("404 or 500 for that workflow or run alone", "all others work"),
        "test_a_damaged_workflow_or_run_stops_no_other",
    ),
    (
        "the status document of an export is damaged",
        Told("the next request replaces it", WHOLE),
        "test_a_damaged_ticket_is_replaced",
    ),
    (
        "the lease of an export is damaged",
        Told("the URL opens; the next request replaces it", "the file, whatever a sweep finds"),
        "test_a_damaged_lease_keeps_the_file_and_is_replaced",
    ),
    (
        "the metadata of a finished export is damaged",
        Told("404 at its URL; the next request makes it again", WHOLE),
        "test_a_finished_export_of_damaged_metadata_is_made_anew",
    ),
    (
        "a finished export is in Azure's archive tier",
        Told("503 at its URL; the next request makes it again", WHOLE),
        "test_an_archived_export_is_told_and_made_anew",
    ),
    (
        "what is published is refused",
        Told("the publisher gets the error", "no workflow, no run"),
        "test_a_publish_that_fails_leaves_no_workflow",
    ),
    (
        "a run is deleted while an export reads it",
        Told("404", "no file"),
        "test_an_export_of_what_is_deleted_meanwhile_leaves_nothing",
    ),
    (
        "a deletion is killed half-way",
        Told("404 for what was deleted", "the next sweep finishes"),
        "test_a_sweep_completes_what_a_killed_deleter_began",
    ),
)
"""Faults that have a test of their own."""

_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def of_stores() -> list[str]:
    """The rows of stores that fail."""
    left = {HEALED: WHOLE, REFUSED: NEXT}
    cases = [(name, outcome) for table in (WRITING, READING) for name, (_, outcome) in table.items()]
    return [f"| {name} | {outcome} | {left[outcome]} |" for name, outcome in cases]


def of_the_rest() -> list[str]:
    """The rows that name their test."""
    here = [row for told, test in HERE for row in rows(told, test)]
    return here + [row for name, told, test in ELSEWHERE for row in rows({name: told}, test)]


def test_the_readme_tells_of_every_fault_and_of_no_other() -> None:
    faults = README.split("\n## Attacks\n")[0]
    told = [line for line in faults.splitlines() if line.startswith("| ") and not line.startswith("| what went wrong")]
    assert told == of_stores() + of_the_rest()


COUNTS = {
    "pieces of SQL": len(SQL),
    "paths for each id": len(PATHS),
    "requests as bytes on the socket": len(CASES),
    "bodies that are bombs": len(BODIES),
    "signed URLs": len(TAMPERED),
    "clocks beside a URL's end": len(TIMES),
    "other ways to ask": len(REQUESTS),
}
"""What the paragraph of attacks counts."""


def test_the_readme_counts_the_attacks_that_are_tried() -> None:
    paragraph = README.split("(`tests/attack`): ")[1].split("\n\n")[0]
    told = " ".join(paragraph.split())
    assert [name for name, count in COUNTS.items() if f" {count} {name}" not in f" {told}"] == []


def test_the_table_of_the_load_calls_requests_what_the_load_calls_them() -> None:
    table = README.split("\n## Under load\n")[1].split("\n|---")[1].split("\n\n")[0]
    told = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[1:]]
    assert told
    assert set(told) <= set(REQUEST_NAMES)


def test_what_is_told_of_is_tried() -> None:
    there = {name for path in (ROOT / "tests").rglob("test_*.py") for name in _TEST.findall(path.read_text("utf-8"))}
    assert {test for _, test in HERE} | {test for _, _, test in ELSEWHERE} <= there
