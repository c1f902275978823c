"""The header Prefer, by the grammar of RFC 7240."""

import pytest

from web.http.prefer import Preference, parse_prefer


@pytest.mark.parametrize(
    ("values", "wait"),
    [
        ([], None),
        (["respond-async"], 0),
        (["Respond-Async"], 0),
        (["respond-async, wait=10"], 10),
        (["wait=10", "respond-async"], 10),
        (['wait="7"'], 7),
        (["wait=0"], 0),
        (["handling=lenient, respond-async"], 0),
        (["respond-async; wait=9; x, handling=lenient"], 0),
        (["wait=10;x=y"], 10),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=\u0661"], None),
        (["wait=999999999999"], None),
        (["return=minimal"], None),
        (["", ",,"], None),
    ],
)
def test_malformed_preferences_are_ignored(values: list[str], wait: int | None) -> None:
    assert parse_prefer(values) == Preference(wait)
