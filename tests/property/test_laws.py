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
from tests.helpers.format_oracle import loads_exactly
from tests.helpers.operator_oracle import COMPLEMENTS
from tests.property.cases import Cases
from tests.property.checks import export
from tests.property.datasets import Dataset, dataset
from tests.property.expected import accepted_request, expected
from tests.property.requests import Entry, GeneratedRequest, entry_for, twin

_PAIRED = {*COMPLEMENTS, *COMPLEMENTS.values()}


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


def _kept(engine: Engine, run: str, *filters: Entry) -> list[str]:
    """The row ids of an export, in its order."""
    rows = loads_exactly(export(engine, run, GeneratedRequest(filters=filters, include_row_ids=True)))
    return [row["_row_id"] for row in rows]


def test_an_operator_and_its_complement_split_the_run(engine: Engine) -> None:
    def property_(chance: Random, run: str, data: Dataset) -> int:
        count = 0
        for entry in (entry_for(chance, data, odd=False) for _ in range(8)):
            if entry["operator"] in _PAIRED:
                ours, others = set(_kept(engine, run, entry)), set(_kept(engine, run, twin(entry)))
                assert not ours & others
                assert ours | others == set(data.row_ids)
                count += 2
        return count

    Cases("complements", 0.08).explore(_published(engine, property_), per_example=7)


def test_two_filters_match_the_intersection(engine: Engine) -> None:
    def property_(chance: Random, run: str, data: Dataset) -> int:
        filters = [entry_for(chance, data, odd=False) for _ in range(3)]
        each = [_kept(engine, run, entry) for entry in filters]
        together = [row for row in data.row_ids if all(row in kept for kept in each)]
        assert _kept(engine, run, *filters) == together
        assert _kept(engine, run, *reversed(filters)) == together
        return len(filters) + 2

    Cases("intersections", 0.06).explore(_published(engine, property_), per_example=5)


_FORMATS = ("csv", "csv", "json", "jsonl", "xlsx", "parquet")
CUTS = [(1, 2**30, 2**23), (1, 1, 2**23), (2, 1, 100), (4, 700, 1_000)]
"""Threads, the bytes that a range is near, and the bytes of a block."""


def test_the_bytes_do_not_depend_on_threads_ranges_or_blocks(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = dict.fromkeys(_FORMATS, 0)

    def property_(chance: Random, run: str, data: Dataset) -> int:
        asked = accepted_request(chance, data, chance.choice(_FORMATS))
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


def test_delivered_row_ids_return_the_same_rows(engine: Engine) -> None:
    def property_(chance: Random, run: str, data: Dataset) -> int:
        asked = replace(accepted_request(chance, data, "json"), include_row_ids=True, compression="none")
        rows = loads_exactly(export(engine, run, asked))
        ids = tuple(row["_row_id"] for row in rows)
        assert ids == tuple(data.row_ids[number] for number in expected(data, asked).numbers)
        if not ids:
            return 1
        again = replace(asked, filters=(), row_ids=(*reversed(ids), "unknown", *ids))
        assert loads_exactly(export(engine, run, again)) == rows
        return 2

    Cases("row ids", 0.02).explore(_published(engine, property_), per_example=1)
