"""Fixtures of several modules."""

from collections.abc import Iterator

import pytest

from engine.execute import compression
from engine.plan import planner
from engine.publishing import publisher


@pytest.fixture(scope="module")
def small_sizes() -> Iterator[None]:
    """Several parts and row groups, each of which becomes a range of several blocks."""
    options = "FORMAT parquet, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 2, FILENAME_PATTERN '{i}'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publisher, "_COPY_OPTIONS", options)
        patch.setattr(planner, "COMPRESSED_RANGE_BYTES", 1)
        patch.setattr(compression, "BLOCK_BYTES", 20_000)
        yield
