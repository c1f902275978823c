"""Names of shares and tables: each stands for one id, whatever clients do to the case of letters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.common.ids import ID
from web.delta_sharing.names import TableId, id_of, name_of, table_of

IDS = st.from_regex(ID, fullmatch=True)
# What a client's name of the form share.schema.table, behind the # of a profile, and a URL can carry as it is.
PLAIN = re.compile(r"[a-z0-9_~-]{1,256}")


@given(IDS)
def test_an_id_comes_back_from_its_name_in_any_case(id_: str) -> None:
    name = name_of(id_)
    assert PLAIN.fullmatch(name)
    assert [id_of(name), id_of(name.upper()), id_of(name.title())] == [id_] * 3


@given(IDS, IDS)
def test_different_ids_have_different_names(first: str, second: str) -> None:
    assert (name_of(first) == name_of(second)) is (first == second)


@given(IDS, st.none() | IDS)
def test_a_table_is_a_workflow_or_a_run_of_it(workflow: str, run: str | None) -> None:
    name = name_of(workflow) + ("" if run is None else f"@{name_of(run)}")
    assert table_of(name) == TableId(workflow, run)


@pytest.mark.parametrize(
    "name", ["", "~", "a~", "~1", "a.b", "a b", "é", "\u212a", "-a", "_a", "~0", "a/b", "a%2f", "#", "a\n", "x" * 257]
)
def test_an_invalid_name_is_refused(name: str) -> None:
    assert id_of(name) is None
    assert table_of(f"a@{name}") is None


@given(st.text())
def test_any_text_is_either_the_name_of_one_id_or_invalid(text: str) -> None:
    id_ = id_of(text)
    assert id_ is None or name_of(id_) == text.lower()
