"""The bytes of exports never change in passing: fifty requests give the files that they have always given."""

import json
from pathlib import Path

from tests.e2e.exports_corpus import EXPECTED, answers


def test_fifty_requests_give_the_same_bytes_as_ever(tmp_path: Path) -> None:
    found, expected = answers(tmp_path), json.loads(EXPECTED.read_text("utf-8"))
    assert len(expected) >= 50
    assert found == expected
