"""Splitting a run into ranges."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.catalog.manifest import Part, RowGroup
from engine.plan.ranges import (
    MAX_PICKED_ROWS,
    MAX_SUBRANGES,
    Range,
    ranges_for_rows,
    single_range,
    split_into_ranges,
)

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


PICKS = RUNS.flatmap(
    lambda parts: st.tuples(
        st.just(parts),
        st.tuples(*(st.sets(st.integers(0, part.rows - 1)).map(lambda rows: tuple(sorted(rows))) for part in parts)),
        st.tuples(*(st.lists(st.booleans(), min_size=(n := len(part.row_groups)), max_size=n) for part in parts)),
    )
)


def _rows(range_: Range) -> list[tuple[str, int]]:
    return [
        (part.key, row)
        for part in range_.parts
        for row in range(range_.first or 0, part.rows if range_.end is None else range_.end)
    ]


@given(RUNS, st.integers(1, 500))
def test_ranges_have_every_row_once_in_run_order(parts: tuple[Part, ...], target: int) -> None:
    ranges = split_into_ranges(parts, target)
    assert [range_.ordinal for range_ in ranges] == list(range(len(ranges)))
    assert [row for range_ in ranges for row in _rows(range_)] == [
        (part.key, row) for part in parts for row in range(part.rows)
    ]


@given(RUNS, st.integers(1, 500))
def test_only_a_single_row_group_exceeds_the_target_size(parts: tuple[Part, ...], target: int) -> None:
    for range_ in split_into_ranges(parts, target):
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


@given(RUNS, st.integers(1, 500), st.randoms(use_true_random=False))
def test_copied_row_groups_are_in_ranges_of_their_own_in_run_order(
    parts: tuple[Part, ...], target: int, chance: Random
) -> None:
    uses = [[chance.choice(["skipped", "read", "copied"]) for _ in part.row_groups] for part in parts]
    mask = [[use != "skipped" for use in of_part] for of_part in uses]
    ranges = split_into_ranges(parts, target, mask, [[use == "copied" for use in of_part] for of_part in uses])
    numbers = {part.key: [n for n, group in enumerate(part.row_groups) for _ in range(group.rows)] for part in parts}
    use_of = {part.key: of_part for part, of_part in zip(parts, uses, strict=True)}
    rows = [(part.key, row) for part in parts for row in range(part.rows)]
    wanted = [(key, row) for key, row in rows if use_of[key][numbers[key][row]] != "skipped"]
    assert [row for range_ in ranges for row in _rows(range_)] == wanted
    for range_ in ranges:
        groups = {(key, numbers[key][row]) for key, row in _rows(range_)}
        assert len({use_of[key][number] for key, number in groups}) <= 1
        copied = {(range_.parts[0].key, number) for number in range_.copied or ()}
        assert copied == {(key, number) for key, number in groups if use_of[key][number] == "copied"}


@given(PICKS, st.integers(1, 500))
def test_requested_rows_are_in_ranges_once_in_run_order(
    picks: tuple[tuple[Part, ...], tuple[tuple[int, ...], ...], tuple[list[bool], ...]], target: int
) -> None:
    parts, rows, kept = picks
    group_of = {part.key: [n for n, group in enumerate(part.row_groups) for _ in range(group.rows)] for part in parts}
    wanted = [
        (part.key, row)
        for part, numbers, flags in zip(parts, rows, kept, strict=True)
        for row in numbers
        if flags[group_of[part.key][row]]
    ]
    ranges = ranges_for_rows(parts, rows, target, kept)
    assert [range_.ordinal for range_ in ranges] == list(range(len(ranges)))
    assert [(part.key, row) for range_ in ranges for part in range_.parts for row in range_.rows or ()] == wanted
    if not wanted:
        assert ranges == (Range(0, ()),)
        return
    for range_ in ranges:
        (part,) = range_.parts
        assert range_.rows
        assert (range_.first, range_.end) == (range_.rows[0], range_.rows[-1] + 1)
        groups = sorted({group_of[part.key][row] for row in range_.rows})
        assert range_.bytes == sum(part.row_groups[group].bytes for group in groups)
        assert len(groups) == 1 or range_.bytes <= target
        assert len(range_.rows) <= MAX_PICKED_ROWS or groups == list(range(groups[0], groups[-1] + 1))


def test_an_empty_run_is_one_empty_range() -> None:
    assert split_into_ranges(()) == (Range(0, ()),) == single_range(())


@given(RUNS)
def test_a_single_range_has_all_parts(parts: tuple[Part, ...]) -> None:
    assert single_range(parts) == (Range(0, parts),)


@given(PICKS)
def test_a_single_range_has_exactly_the_row_groups_of_the_mask(
    picks: tuple[tuple[Part, ...], object, tuple[list[bool], ...]],
) -> None:
    parts, _, kept = picks
    (range_,) = single_range(parts, kept)
    pieces = range_.subranges or (range_,)
    wanted = []
    for part, flags in zip(parts, kept, strict=True):
        numbers = iter(range(part.rows))
        for group, flag in zip(part.row_groups, flags, strict=True):
            rows = [(part.key, next(numbers)) for _ in range(group.rows)]
            wanted += rows if flag else []
    assert [row for piece in pieces for row in _rows(piece)] == wanted
    assert range_.bytes == sum(piece.bytes for piece in pieces)
    assert range_.parts == tuple(part for part, flags in zip(parts, kept, strict=True) if any(flags))
    assert all(not piece.subranges and piece.rows is None for piece in pieces)


def test_beyond_the_maximum_subranges_entire_parts_are_read() -> None:
    part = _part(0, [(10, 7)] * (2 * MAX_SUBRANGES + 1))
    flags = [number % 2 == 0 for number in range(2 * MAX_SUBRANGES + 1)]
    assert single_range((part,), [flags]) == (Range(0, (part,)),)
    flags[0] = False
    (range_,) = single_range((part,), [flags])
    assert len(range_.subranges) == MAX_SUBRANGES
    assert range_.bytes == 7 * MAX_SUBRANGES
