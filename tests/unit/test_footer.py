"""Long text bounds in a manifest are shortened and remain bounds."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.catalog.row_group_stats import read_row_groups

LAST = "\U0010ffff"
TEXTS = st.lists(st.text(st.sampled_from(["a", "b", "\ud7ff", "\ue000", LAST]), max_size=70), min_size=1, max_size=4)


def bounds(path: Path, values: list[str]) -> tuple[str | None, str | None]:
    pyarrow.parquet.write_table(pa.table({"x": values}), path)
    (group,) = read_row_groups(path)
    return group.statistics["x"].minimum, group.statistics["x"].maximum


@example(["a" * 63 + "\ud7ff" * 2])
@example([LAST * 65])
@example(["a" + LAST * 80])
@given(TEXTS)
def test_every_text_is_within_its_row_group_bounds(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    low, high = bounds(tmp_path_factory.getbasetemp() / "texts.parquet", values)
    assert low is not None
    assert low <= min(values)
    assert len(low) <= 64
    if high is None:
        assert max(values).startswith(LAST * 64)
    else:
        assert high >= max(values)
        assert len(high) <= 64
        high.encode()
    if max(map(len, values)) <= 64:
        assert (low, high) == (min(values), max(values))
