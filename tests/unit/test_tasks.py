"""How an export is cut into tasks, and a sort into buckets: laws over many sizes."""

from itertools import pairwise
from random import Random

import pytest

from engine.runners.ray.sort.sampling import SORT_TASK_BYTES, Sample, sort_task_bytes
from engine.runners.ray.staged_blocks import block_sizes
from engine.runners.ray.task_sizes import MAX_TASKS, TASK_BYTES, grouped, task_bytes

MIB, TIB = 1024**2, 1024**4
MAX_BLOCKS = 50_000
LARGEST_BLOCK = 4000 * MIB


@pytest.mark.parametrize("total", [0, 1, MIB, 100 * MIB, 80 * 1024 * MIB, TIB, 100 * TIB])
def test_no_phase_has_more_tasks_than_it_may(total: int) -> None:
    size = task_bytes(total)
    assert size >= TASK_BYTES
    # Each but the last is more than half full, whatever the sizes of what is in it.
    assert total / (size / 2) <= MAX_TASKS


@pytest.mark.parametrize("total", [0, 1, MIB, 100 * MIB, 80 * 1024 * MIB, TIB, 100 * TIB])
def test_slices_of_a_sort_are_never_crumbs(total: int) -> None:
    size = sort_task_bytes(total)
    assert size >= SORT_TASK_BYTES
    # As many merges as splits, so each split has so many slices.
    assert total == 0 or size / (total / size) >= 0.99 * MIB


def test_groups_are_all_items_in_their_order_and_no_larger_than_they_may_be() -> None:
    for seed in range(50):
        chance = Random(seed)
        items = [chance.randrange(200) for _ in range(chance.randrange(100))]
        most = chance.randrange(1, 300)
        groups = list(grouped(items, lambda item: item, most))
        assert [item for group in groups for item in group] == items
        assert all(sum(group) <= most or len(group) == 1 for group in groups)
        assert all(sum(one) + two[0] > most for one, two in pairwise(groups))


@pytest.mark.parametrize("tasks", [1, 2, 100, 781, 782, 5_000, 10_001, 20_000])
def test_blocks_of_all_tasks_are_those_of_one_object(tasks: int) -> None:
    sizes = block_sizes(tasks)
    # The driver adds two of its own.
    assert tasks * len(sizes) + 2 <= MAX_BLOCKS
    assert list(sizes) == sorted(sizes)
    assert all(8 * MIB <= size <= LARGEST_BLOCK for size in sizes)
    assert sizes[-1] == LARGEST_BLOCK
    assert tasks * sum(sizes) > 10 * TIB or tasks < 1_000


def test_cuts_are_keys_in_order_between_buckets_of_about_the_same_weight() -> None:
    for seed in range(50):
        chance = Random(seed)
        buckets = chance.randrange(2, 20)
        found = [(chance.randbytes(4), chance.choice([1.0, 2.5])) for _ in range(buckets * 100)]
        total = sum(weight for _, weight in found)
        cuts = Sample(found, round(total)).cuts([total * bucket / buckets for bucket in range(1, buckets)])
        assert len(cuts) == buckets - 1
        assert all(one < two for one, two in pairwise(cuts))
        # Four bytes by chance differ within the first three of some thousand.
        assert all(len(cut) <= 3 and any(key.startswith(cut) for key, _ in found) for cut in cuts)
        of_bucket = [0.0] * buckets
        for key, weight in found:
            of_bucket[sum(cut <= key for cut in cuts)] += weight
        mean = sum(of_bucket) / buckets
        assert all(abs(one - mean) <= 0.1 * mean for one in of_bucket)


def test_a_cut_of_long_keys_is_as_short_as_can_be() -> None:
    keys = [b"a" * 5_000 + bytes([number]) * 5_000 for number in range(100)]
    cuts = Sample([(key, 1.0) for key in keys], 100).cuts([25, 50, 75])
    assert [len(cut) for cut in cuts] == [5_001] * 3
    assert [sum(key < cut for key in keys) for cut in cuts] == [25, 50, 75]


def test_keys_that_are_all_alike_are_cut_once_at_most() -> None:
    assert Sample([(b"x", 1.0)] * 100, 100).cuts(range(10, 90, 10)) == [b"x"]
    assert Sample([], 0).cuts([0.5]) == []
