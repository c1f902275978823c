"""An environment of the suite's own, and fixtures that every folder may use: the emulator, a store of either kind."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from engine.stores import ObjectStore, open_store
from tests.helpers.azurite import Azurite, available
from tests.helpers.environment import isolate

# No test fails by the clock of a machine that is shared.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

STORES = ["directory", pytest.param("azure", marks=pytest.mark.azurite)]


HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Isolate this process and all that it starts before any test module is imported."""
    # Workers of pytest-xdist inherit the environment of the process that starts them.
    if not hasattr(config, "workerinput"):
        home = config.stash[HOME] = Path(tempfile.mkdtemp(prefix="tailrace-tests-home-"))
        isolate(os.environ, home)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the home folder of the session."""
    if HOME in config.stash:
        shutil.rmtree(config.stash[HOME], ignore_errors=True)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """One emulator for the session (with xdist: for each worker); skips if it cannot be started here."""
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with Azurite() as emulator:
        yield emulator


@pytest.fixture(scope="module", params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of store in turn; only the directory for tests marked with `tests.helpers.stores.any_store`."""
    kind: str = request.param
    return kind


@pytest.fixture
def store_url(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """The location of a fresh store of each kind, and what a process needs in its environment to open it."""
    return _store_url(store_kind, request, tmp_path)


@pytest.fixture
def store(store_url: tuple[str, dict[str, str]]) -> ObjectStore:
    """A fresh, empty store of each kind."""
    return _open(store_url)


@pytest.fixture(scope="module")
def module_store_url(
    store_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, str]]:
    """`store_url` for all tests of a module."""
    return _store_url(store_kind, request, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def module_store(module_store_url: tuple[str, dict[str, str]]) -> ObjectStore:
    """`store` for all tests of a module."""
    return _open(module_store_url)


def _open(store_url: tuple[str, dict[str, str]]) -> ObjectStore:
    location, environment = store_url
    return open_store(location, connection_string=environment.get("AZURE_STORAGE_CONNECTION_STRING"))


def _store_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, str]]:
    if kind == "directory":
        return str(folder / "store"), {}
    emulator: Azurite = request.getfixturevalue("azurite")
    location = f"az://test-{uuid.uuid4().hex}/some/prefix"
    return location, {"AZURE_STORAGE_CONNECTION_STRING": emulator.connection_string}
