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

SEPARATE = (
    (
        "one of two clients that wait for the same export disconnects",
        Outcome("the other gets the answer", WHOLE),
        "test_one_disconnected_client_does_not_cancel_a_shared_export",
    ),
    (
        "a client disconnects during a download",
        Outcome("-", "the file; no open file"),
        "test_a_client_that_disconnects_leaves_no_open_file",
    ),
    ("a download is interrupted", Outcome("it resumes", "the file"), "test_curl_resumes_an_interrupted_download"),
    (
        "the process of an asynchronous export dies",
        Outcome("`failed`, `interrupted`", "no file"),
        "test_the_status_of_a_killed_process_is_interrupted",
    ),
    (
        "more exports than slots",
        Outcome("503 with Retry-After", "-"),
        "test_an_export_beyond_the_limits_gets_503_with_retry_after",
    ),
    (
        "two replicas make the same export",
        Outcome("both get the answer", "one file"),
        "test_two_replicas_make_the_same_export",
    ),
    (
        "an upload fails whose name an older object has",
        Outcome("a clear error", "the older object"),
        "test_a_failed_upload_does_not_change_an_existing_object",
    ),
    (
        "a publisher is killed",
        Outcome("-", "nothing to read, nothing in the way"),
        "test_a_killed_publisher_leaves_nothing_visible_and_nothing_that_blocks_the_next",
    ),
    (
        "the answer to a run's manifest is lost, or its last step fails",
        Outcome("the publisher gets the error", "the whole run"),
        "test_a_run_whose_publisher_failed_after_the_manifest_retains_its_parts",
    ),
    (
        "several publish the same run",
        Outcome("one wins, the others get the error", "one run"),
        "test_one_of_several_publishers_of_a_run_wins",
    ),
    (
        "a sweep while another URL is signed",
        Outcome("the URL opens", "the file"),
        "test_a_sweep_never_removes_an_export_whose_lease_was_extended",
    ),
    (
        "a sweeper is slow, and its file is made again meanwhile",
        Outcome("the URL opens", "the new file"),
        "test_a_slow_sweep_never_removes_an_export_that_was_made_again",
    ),
    (
        "a sweeper is killed half-way",
        Outcome("-", "the next one finishes"),
        "test_the_next_sweep_completes_one_that_was_killed",
    ),
    (
        "a sweep on a machine whose clock is a day off that of the store",
        Outcome("it refuses, and says by how much", "every file"),
        "test_a_sweep_with_a_wrong_clock_removes_nothing",
    ),
    (
        "the clocks of two replicas are 65 seconds apart",
        Outcome("the wrong one is not ready; both open all URLs and agree on what is running", WHOLE),
        "test_an_export_that_runs_at_one_is_running_for_the_other",
    ),
    (
        "redirect mode on a machine whose clock is six minutes behind",
        Outcome("not ready; its redirects open", "the file"),
        "test_redirects_of_a_service_that_is_six_minutes_behind_open",
    ),
    (
        "a statement exceeds its time or its memory",
        Outcome("400 `limit_exceeded`", "no process"),
        "test_a_bomb_ends_within_its_time",
    ),
    (
        "a store's marker is gone or unreadable, as when a volume is not mounted",
        Outcome("503 with the remedy, until it is back", "nothing is written"),
        "test_a_missing_marker_makes_the_store_unavailable_until_it_returns",
    ),
    (
        "`workflow.json` or `run.json` is damaged",
        Outcome("404 or 500 for that workflow or run alone", "all others work"),
        "test_a_damaged_workflow_or_run_does_not_affect_others",
    ),
    (
        "the status document of an export is damaged",
        Outcome("the next request replaces it", WHOLE),
        "test_a_damaged_status_document_is_replaced",
    ),
    (
        "the lease of an export is damaged",
        Outcome("the URL opens; the next request replaces it", "the file, whatever a sweep finds"),
        "test_a_damaged_lease_retains_the_file_and_is_replaced",
    ),
    (
        "the metadata of a finished export is damaged",
        Outcome("404 at its URL; the next request makes it again", WHOLE),
        "test_an_export_with_damaged_metadata_is_made_again",
    ),
    (
        "a finished export is in Azure's archive tier",
        Outcome("503 at its URL; the next request makes it again", WHOLE),
        "test_an_archived_export_is_reported_and_made_again",
    ),
    (
        "what is published is refused",
        Outcome("the publisher gets the error", "no workflow, no run"),
        "test_a_failed_publish_leaves_no_workflow",
    ),
    (
        "a run is deleted while an export reads it",
        Outcome("404", "no file"),
        "test_an_export_of_a_run_that_is_deleted_meanwhile_leaves_no_file",
    ),
    (
        "a deletion is killed half-way",
        Outcome("404 for what was deleted", "the next sweep finishes"),
        "test_a_sweep_completes_the_deletion_of_a_killed_process",
    ),
    (
        "the volume of a store is not mounted: its directory is missing, empty, a file or a broken link",
        Outcome("503 `store_unavailable`, until it is mounted", "nothing is written"),
        "test_an_unmounted_directory_is_unavailable_until_it_returns",
    ),
    (
        "the exports store belongs to another deployment",
        Outcome("503 with the remedy", "both stores are unchanged"),
        "test_stores_of_two_deployments_are_not_mixed",
    ),
    (
        "the results can only be read and have no marker",
        Outcome("they are served; 503 once they are empty", "nothing is written"),
        "test_read_only_results_are_served_without_a_marker",
    ),
    (
        "a command meets damaged documents",
        Outcome("it names them and continues", "nothing is removed"),
        "test_commands_report_damaged_documents_and_continue",
    ),
    (
        "a finished export cannot be opened, or its bytes have changed",
        Outcome("503 if it cannot be opened", "`tailrace verify --exports` names it, with the reason"),
        "test_verify_distinguishes_damaged_from_unreadable_exports",
    ),
    (
        "the spill directory is a file or a broken link",
        Outcome("503 with the setting to correct", "nothing; the next export works once it is corrected"),
        "test_a_spill_directory_or_part_of_the_wrong_kind_returns_503",
    ),
    (
        "a part is a broken link or a directory",
        Outcome("503 `store_unavailable`", "`tailrace verify` names the part"),
        "test_a_spill_directory_or_part_of_the_wrong_kind_returns_503",
    ),
)
"""Faults that have a separate test."""

_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def store_rows() -> list[str]:
    """The rows of the table of stores that fail."""
    left = {RECOVERED: WHOLE, INSTEAD: WHOLE, FAILED: NEXT}
    cases = [(name, outcome) for table in (WRITING, READING, COPYING) for name, (_, outcome) in table.items()]
    return [f"| {name} | {outcome} | {left[outcome]} |" for name, outcome in cases]


def other_rows() -> list[str]:
    """The rows of the table that names the test of each fault."""
    parametrized = [row for outcomes, test in PARAMETRIZED for row in table_rows(outcomes, test)]
    return parametrized + [row for fault, outcome, test in SEPARATE for row in table_rows({fault: outcome}, test)]


def test_the_readme_lists_exactly_the_tested_faults() -> None:
    faults = README.split("\n## Attacks\n")[0]
    rows = [line for line in faults.splitlines() if line.startswith("| ") and not line.startswith("| what went wrong")]
    assert rows == store_rows() + other_rows()


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
    assert {test for _, test in PARAMETRIZED} | {test for _, _, test in SEPARATE} <= tests
