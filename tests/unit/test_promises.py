"""The promises about URLs and long exports, each with a test that fails if it is broken.

When you add a promise, break it once on purpose and see that its test fails.
"""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]

URLS = {
    "a signed URL opens without any header": "web/test_downloads.py::test_the_file_has_the_promised_size_and_hash",
    "it has the documented form": "unit/test_signing.py::test_a_signed_url_is_what_the_contract_says",
    "it is signed by an HMAC with our key": "unit/test_signing.py::test_the_string_to_sign_is_the_documented_one",
    "it is bound to workflow, export, format, end": "attack/test_tampered_urls.py::test_a_tampered_url_is_refused",
    "it is good until expiresAt and no longer": "attack/test_tampered_urls.py::test_a_url_is_valid_until_it_expires",
    "it reads, and nothing beside it counts": (
        "attack/test_tampered_urls.py::test_a_signature_needs_nothing_else_and_only_allows_reading"
    ),
    "it opens one file": "attack/test_tampered_urls.py::test_a_signature_opens_one_file_only",
    "exportId is a UUID": "web/test_export_answers.py::test_a_strict_client_accepts_the_answer",
    "browsers open it": "clients/test_browser.py::test_a_link_downloads_the_file_under_its_name",
    "pages of other origins open it": "clients/test_browser.py::test_a_page_of_another_origin_reads_ranges_and_headers",
    "curl opens it": "clients/test_command_lines.py::test_curl_takes_the_name_from_the_answer",
    "pandas opens it": "clients/test_dataframes.py::test_pandas",
    "Polars opens it": "clients/test_dataframes.py::test_polars",
    "DuckDB opens it": "clients/test_dataframes.py::test_duckdb_reads_every_format",
    "assistants get it": "web/test_assistants.py::test_from_the_list_to_the_file",
    "a key of the owning team needs no signature": "web/test_downloads.py::test_the_owning_team_needs_no_signature",
    "nor does a token": "web/test_export_answers.py::test_a_bearer_token_is_enough",
    "another team's key opens nothing": "web/test_access.py::test_ids_of_another_team_look_unknown",
    "HEAD, as GET": "web/test_downloads.py::test_head_has_the_headers_of_get_without_the_body",
    "Content-Type of CSV": "web/test_downloads.py::test_the_file_has_the_promised_size_and_hash",
    "Content-Type of JSON and Parquet": "web/test_downloads.py::test_the_content_type_is_that_of_the_format",
    "Content-Length": "web/test_downloads.py::test_the_file_has_the_promised_size_and_hash",
    "Content-Disposition: attachment, filename, filename*": (
        "web/test_downloads.py::test_the_file_has_the_promised_size_and_hash"
    ),
    "strong ETag": "web/test_downloads.py::test_the_file_has_the_promised_size_and_hash",
    "Accept-Ranges": "web/test_downloads.py::test_the_file_has_the_promised_size_and_hash",
    "single ranges: 206, Content-Range": "web/test_downloads.py::test_a_single_range",
    "a range behind the end: 416": "web/test_downloads.py::test_a_range_after_the_end_is_416",
    "If-Range": "web/test_download_conditions.py::test_if_range_needs_the_strong_tag_of_this_version",
    "If-None-Match: 304": "web/test_download_conditions.py::test_if_none_match_compares_weakly",
    "Access-Control-Allow-Origin, exposed headers": (
        "web/test_download_conditions.py::test_pages_of_any_origin_may_read_every_response"
    ),
    "preflights": "web/test_download_conditions.py::test_a_preflight_request_allows_credentials_in_headers",
    "nosniff, no-referrer": "web/test_downloads.py::test_the_file_has_the_promised_size_and_hash",
    "Parquet is queried in place": "clients/test_dataframes.py::test_duckdb_reads_only_what_it_needs",
    "a download that began before expiry may finish": (
        "web/test_interrupted_downloads.py::test_a_download_may_finish_after_its_url_expires"
    ),
}
"""Section 3 of web/API.md."""

EXPORTS = {
    "the default answer is synchronous": "web/test_export_answers.py::test_a_strict_client_accepts_the_answer",
    "respond-async: 202 and Location": "web/test_async_exports.py::test_a_ticket_leads_to_the_same_body_as_the_200",
    "the status has phase, rows and bytes so far": (
        "web/test_waiting_exports.py::test_the_status_has_phase_rows_and_bytes"
    ),
    "in the end, the body of the 200": "web/test_async_exports.py::test_a_ticket_leads_to_the_same_body_as_the_200",
    "DELETE cancels": "web/test_async_exports.py::test_delete_ends_it_and_leaves_no_file",
    "wait=N waits N seconds, and the export goes on": (
        "web/test_waiting_exports.py::test_an_export_continues_after_the_wait_of_its_caller"
    ),
    "what is done within N seconds is a 200": "web/test_async_exports.py::test_a_caller_may_wait_first",
    "the same request joins": "e2e/test_full_house.py::test_equal_requests_share_one_export",
    "on the same run": "web/test_waiting_exports.py::test_the_same_request_on_another_run_is_another_export",
    "later, the finished file with a fresh URL": (
        "web/test_waiting_exports.py::test_a_finished_export_is_returned_again_with_a_fresh_url"
    ),
    "a client that disconnects cancels": "e2e/test_full_house.py::test_a_client_that_disconnects_cancels_its_export",
    "unless another waits": "e2e/test_full_house.py::test_one_disconnected_client_does_not_cancel_a_shared_export",
    "N run at the same time, a bounded queue waits, the rest are refused": (
        "e2e/test_full_house.py::test_exports_run_wait_or_are_refused_by_the_limits"
    ),
}
"""Section 6 of web/API.md."""


def test_every_promise_has_a_test_outside_of_make_test_deep() -> None:
    makefile = (TESTS.parent / "Makefile").read_text("utf-8").replace("\\\n", "")
    (deep,) = re.findall(r"^DEEP := (.+)$", makefile, re.MULTILINE)
    assert [name for name in deep.split() if not (TESTS.parent / name).exists()] == []
    for promise, test in {**URLS, **EXPORTS}.items():
        path, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (TESTS / path).read_text("utf-8"), re.MULTILINE), promise
        assert not f"tests/{path}".startswith(tuple(deep.split())), promise
