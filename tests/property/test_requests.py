"""Generated requests on generated runs: every file has exactly what the contract says."""

import itertools
import uuid
from pathlib import Path
from random import Random

import pytest

from engine.publishing import publisher
from engine.request.formats import FORMATS
from engine.stores import open_store
from tests.helpers.azurite import Azurite
from tests.helpers.engine import Engine
from tests.property.cases import Cases
from tests.property.checks import check
from tests.property.datasets import dataset
from tests.property.requests import request_for

REQUESTS = 9
"""On each run, of which publishing takes as long as two exports."""
SMALL = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 7, ROW_GROUPS_PER_FILE 3, FILENAME_PATTERN '{i}'"
"""Of these a run of sixty rows has three parts."""


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_export_has_the_rows_of_the_oracle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    """Every third run has small row groups and parts, each of which becomes a range; the others share instances."""
    runs, engine = itertools.count(), Engine(tmp_path)
    usual = (publisher._COPY_OPTIONS, engine.usual_exporter)
    cuts = itertools.cycle([usual, (SMALL, engine.exporter(range_bytes=1)), usual])

    def property_(chance: Random) -> int:
        data, run = dataset(chance), f"r{next(runs)}"
        options, exporter = next(cuts)
        monkeypatch.setattr(publisher, "_COPY_OPTIONS", options)
        data.publish(engine, run)
        for _ in range(REQUESTS):
            check(engine, run, data, request_for(chance, data, format_name), exporter)
        return REQUESTS

    Cases(format_name, {"json": 0.15, "jsonl": 0.1, "xlsx": 0.1}.get(format_name, 0.25)).explore(
        property_, per_example=REQUESTS
    )


@pytest.mark.azurite
def test_an_export_on_azure_has_the_rows_of_the_oracle(azurite: Azurite, tmp_path: Path) -> None:
    """Reads runs from Azure and writes exports there."""
    store = open_store(f"az://oracle-{uuid.uuid4().hex}/x", connection_string=azurite.connection_string)
    runs, engine = itertools.count(), Engine(tmp_path, store)
    exporter = engine.exporter(range_bytes=1)

    def property_(chance: Random) -> int:
        data, run = dataset(chance), f"r{next(runs)}"
        data.publish(engine, run)
        for format_name in FORMATS:
            check(engine, run, data, request_for(chance, data, format_name), exporter)
        return len(FORMATS)

    Cases("azure", 0.06).explore(property_, per_example=len(FORMATS))
