"""The cut of a run into ranges."""

from hypothesis import given
from hypothesis import strategies as st

from engine.ranges import Range, cut, whole
from engine.runs import Part, RowGroup

GROUPS = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 100)), min_size=1, max_size=6)
RUNS = st.lists(GROUPS, max_size=8).map(lambda runs: tuple(_part(index, groups) for index, groups in enumerate(runs)))


def _part(index: int, groups: list[tuple[int, int]]) -> Part:
    row_groups = tuple(RowGroup(rows=rows, bytes=size, statistics={}) for rows, size in groups)
    return Part(
        key=f"part-{index}",
        rows=sum(rows for rows, _ in groups),
        bytes=sum(size for _, size in groups) + 4,
        sha256="",
        etag="",
        row_groups=row_groups,
    )


def _rows(range_: Range) -> list[tuple[str, int]]:
    return [
        (part.key, row)
        for part in range_.parts
        for row in range(range_.first or 0, part.rows if range_.end is None else range_.end)
    ]


@given(RUNS, st.integers(1, 500))
def test_ranges_hold_every_row_once_in_run_order(parts: tuple[Part, ...], target: int) -> None:
    ranges = cut(parts, target)
    assert [range_.ordinal for range_ in ranges] == list(range(len(ranges)))
    assert [row for range_ in ranges for row in _rows(range_)] == [
        (part.key, row) for part in parts for row in range(part.rows)
    ]


@given(RUNS, st.integers(1, 500))
def test_a_range_is_above_the_target_only_by_a_single_row_group(parts: tuple[Part, ...], target: int) -> None:
    for range_ in cut(parts, target):
        if range_.first is None:
            assert sum(part.bytes for part in range_.parts) <= target
            continue
        (part,) = range_.parts
        ends = [0]
        for group in part.row_groups:
            ends.append(ends[-1] + group.rows)
        first, end = ends.index(range_.first), ends.index(range_.end or 0)
        groups = part.row_groups[first:end]
        assert groups, "no range is empty"
        assert len(groups) == 1 or sum(group.bytes for group in groups) <= target


def test_an_empty_run_is_one_range_of_nothing() -> None:
    assert cut(()) == (Range(0, ()),) == whole(())


@given(RUNS)
def test_the_whole_is_one_range(parts: tuple[Part, ...]) -> None:
    assert whole(parts) == (Range(0, parts),)
