"""One running service with a small run, for all tests of a module."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.server import Server

ROWS: list[dict[str, Any]] = [
    {"name": "Ann", "age": 31, "city": None, "tags": ["a", "b"], "home": {"zip": "0123"}},
    {"name": "Bob", "age": None, "city": "", "tags": [], "home": None},
    {"name": 'C "quoted", 100%', "age": 7, "city": "Zürich\nWest", "tags": None, "home": {"zip": None}},
]
EXECUTED_AT = "2026-11-01T10:00:00Z"


def publish_people(server: Server, folder: Path) -> None:
    """Publish the rows as run r1 of the workflow people, and a run that failed after it."""
    source = folder / "people.json"
    source.write_text(json.dumps(ROWS))
    server.publish("--workflow", "people", "--run", "r1", "--executed-at", EXECUTED_AT, str(source))
    server.publish("--workflow", "people", "--run", "r2", "--state", "FAILED", str(source))
    server.publish("--workflow", "unfinished", "--run", "r1", "--state", "IN_PROGRESS", str(source))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service on a directory."""
    folder = tmp_path_factory.mktemp("people")
    with Server((str(folder / "store"), {}), folder) as server:
        publish_people(server, folder)
        yield server


@pytest.fixture(scope="module")
def people_on(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The service on either store."""
    folder = tmp_path_factory.mktemp("people")
    with Server(module_store_url, folder) as server:
        publish_people(server, folder)
        yield server
