"""The page of error codes has a section for each code in the code, and no other."""

import re

from engine.errors import EngineError
from tests.helpers.deployed import CONTAINER
from web.api.errors import error_codes
from web.api.exports.status import INTERRUPTED

PAGE = (CONTAINER / "ERRORS.md").read_text("utf-8")


def _outcomes(kind: type[EngineError]) -> set[str]:
    """The codes of an error and its subclasses: logs, metrics and status documents have them."""
    return {kind.code}.union(*(_outcomes(child) for child in kind.__subclasses__()))


def test_every_code_has_a_section() -> None:
    sections = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    known = {code for codes in error_codes().values() for code in codes}
    assert sections == sorted(known | _outcomes(EngineError) | {str(INTERRUPTED["code"])})


def test_every_section_names_the_status_of_its_code() -> None:
    for status, codes in error_codes().items():
        for code in codes:
            text = PAGE.split(f"\n## {code}\n")[1].split("\n## ")[0]
            assert str(status) in text, code
