"""Properties of every run and request, whatever the values are."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from engine.common.cancellation import CancelToken
from engine.execute import compression
from engine.plan import planner
from engine.publishing import publisher
from engine.stores import block_stream
from tests.helpers.engine import TEAM, Engine
from tests.property.cases import Cases
from tests.property.datasets import Dataset, dataset
from tests.property.expected import accepted_request


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Publishes several parts with two small row groups each, so that small ranges are many."""
    options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 5, ROW_GROUPS_PER_FILE 2, FILENAME_PATTERN '{i}'"
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", options)
    return Engine(tmp_path)


def _published(engine: Engine, property_: Callable[[Random, str, Dataset], int]) -> Callable[[Random], int]:
    """A property of runs that are published, each under its name."""
    runs = itertools.count()

    def published(chance: Random) -> int:
        data, run = dataset(chance), f"r{next(runs)}"
        data.publish(engine, run)
        return property_(chance, run, data)

    return published


_FORMATS = ("csv", "csv", "json", "jsonl", "xlsx", "parquet")
CUTS = [(1, 2**30, 2**23), (1, 1, 2**23), (2, 1, 100), (4, 700, 1_000)]
"""Threads, the bytes that a range is near, and the bytes of a block."""


def test_the_bytes_do_not_depend_on_threads_ranges_or_blocks(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges, formats = dict.fromkeys(_FORMATS, 0), itertools.cycle(_FORMATS)

    def property_(chance: Random, run: str, data: Dataset) -> int:
        asked = accepted_request(chance, data, next(formats))
        if chance.random() < 0.7:
            # What is sorted is one range.
            asked = replace(asked, sort_by=None, descending=False)
        contents = set()
        # Row groups and compressed blocks end where ranges do, so those are no setting: they are the same in each cut.
        monkeypatch.setattr(planner, "PARQUET_RANGE_BYTES", chance.choice((1, 700)))
        monkeypatch.setattr(planner, "COMPRESSED_RANGE_BYTES", chance.choice((1, 700)))
        monkeypatch.setattr(compression, "BLOCK_BYTES", chance.choice((1, 200)))
        for number, (threads, range_bytes, block_bytes) in enumerate(CUTS):
            monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, block_bytes),))
            # Into stores of their own: a finished export is not made twice.
            elsewhere = Engine(tmp_path / f"cut-{number}")
            exporter = engine.exporter(threads=threads, range_bytes=range_bytes, exports=elsewhere.store)
            planned = exporter.plan(asked.request(run), TEAM)
            ranges[asked.format] = max(ranges[asked.format], len(planned.ranges))
            contents.add(elsewhere.content(exporter.export(planned, CancelToken())))
        assert len(contents) == 1
        return len(CUTS)

    Cases("cuts", 0.15).explore(_published(engine, property_), per_example=len(CUTS))
    assert min(ranges.values()) > 1
