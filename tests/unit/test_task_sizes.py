"""The sizes of tasks, and the cuts between the buckets of a sort: properties over many sizes."""

from itertools import pairwise
from random import Random

import pytest

from engine.runners.ray.sort.sampling import SORT_TASK_BYTES, Sample, sort_task_bytes
from engine.runners.ray.task_sizes import MAX_TASKS, TASK_BYTES, group_by_size, task_bytes

MIB, TIB = 1024**2, 1024**4


@pytest.mark.parametrize("total", [0, 1, MIB, 100 * MIB, 80 * 1024 * MIB, TIB, 100 * TIB])
def test_no_phase_exceeds_the_maximum_number_of_tasks(total: int) -> None:
    size = task_bytes(total)
    assert size >= TASK_BYTES
    # Two consecutive groups are more than full together, whatever the sizes of their items.
    assert total / (size / 2) <= MAX_TASKS


@pytest.mark.parametrize("total", [0, 1, MIB, 100 * MIB, 80 * 1024 * MIB, TIB, 100 * TIB])
def test_slices_of_a_sort_do_not_shrink_with_its_size(total: int) -> None:
    size = sort_task_bytes(total)
    assert size >= SORT_TASK_BYTES
    # There are as many merges as splits, and each split makes a slice for every merge.
    assert total == 0 or size / (total / size) >= 0.99 * MIB


def test_groups_are_all_items_in_order_and_within_the_maximum_size() -> None:
    for seed in range(50):
        chance = Random(seed)
        items = [chance.randrange(200) for _ in range(chance.randrange(100))]
        max_size = chance.randrange(1, 300)
        groups = list(group_by_size(items, lambda item: item, max_size))
        assert [item for group in groups for item in group] == items
        assert all(sum(group) <= max_size or len(group) == 1 for group in groups)
        assert all(sum(one) + two[0] > max_size for one, two in pairwise(groups))


def test_cuts_are_ordered_and_divide_the_rows_into_buckets_of_similar_size() -> None:
    for seed in range(50):
        chance = Random(seed)
        buckets = chance.randrange(2, 20)
        weighted = [(chance.randbytes(4), chance.choice([1.0, 2.5])) for _ in range(buckets * 100)]
        total = sum(weight for _, weight in weighted)
        cuts = Sample(weighted, round(total)).cuts([total * bucket / buckets for bucket in range(1, buckets)])
        assert len(cuts) == buckets - 1
        assert all(one < two for one, two in pairwise(cuts))
        # Some thousand random keys of four bytes differ within their first three bytes.
        assert all(len(cut) <= 3 and any(key.startswith(cut) for key, _ in weighted) for cut in cuts)
        bucket_sizes = [0.0] * buckets
        for key, weight in weighted:
            bucket_sizes[sum(cut <= key for cut in cuts)] += weight
        mean = sum(bucket_sizes) / buckets
        assert all(abs(one - mean) <= 0.1 * mean for one in bucket_sizes)


def test_a_cut_is_the_shortest_prefix_that_divides_long_keys() -> None:
    keys = [b"a" * 5_000 + bytes([number]) * 5_000 for number in range(100)]
    cuts = Sample([(key, 1.0) for key in keys], 100).cuts([25, 50, 75])
    assert [len(cut) for cut in cuts] == [5_001] * 3
    assert [sum(key < cut for key in keys) for cut in cuts] == [25, 50, 75]


def test_equal_keys_have_one_cut_at_most() -> None:
    assert Sample([(b"x", 1.0)] * 100, 100).cuts(range(10, 90, 10)) == [b"x"]
    assert Sample([], 0).cuts([0.5]) == []
