"""When a sort has each of its tasks read the whole run, and how many they are."""

from typing import Any

import pytest

from engine.runners.ray.sort.sorting import tasks_that_reread
from engine.settings import DuckDBSettings

MIB = 1024**2
CASES: dict[str, tuple[int, int, dict[str, Any], bool, int | None]] = {
    "a task for each slot": (100 * MIB, 2, {}, False, 2),
    "one slot": (100 * MIB, 1, {}, False, 1),
    "half a gigabyte for each": (1024 * MIB, 2, {}, False, 2),
    "more is two for each": (1025 * MIB, 2, {}, False, 4),
    "two for each of three, not four in all": (1537 * MIB, 3, {}, False, 6),
    "less for each that keeps what it wrote": (512 * MIB, 2, {}, True, 4),
    "no run is too large to be told so": (100_000 * MIB, 2, {"spill_limit": "500GB"}, False, 196),
    "all bytes of nothing": (0, 2, {}, False, 2),
    "no room to spill a share": (200 * MIB, 2, {"spill_limit": "2GB"}, False, None),
    "room to spill a share": (190 * MIB, 2, {"spill_limit": "2GB"}, False, 2),
    "no memory to spill with": (34 * MIB, 2, {"memory_limit": "399MB"}, False, None),
    "nothing to spill": (32 * MIB, 2, {"memory_limit": "125MB"}, False, 2),
}


@pytest.mark.parametrize("name", CASES)
def test_tasks_that_read_a_whole_run(name: str) -> None:
    total, slots, limits, keeps, wanted = CASES[name]
    given: dict[str, Any] = {"memory_limit": "500MB", "spill_limit": "25GB", **limits}
    settings = DuckDBSettings(**given)
    assert tasks_that_reread(total, slots, settings, keeps=keeps) == wanted
