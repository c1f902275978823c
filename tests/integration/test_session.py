"""A session is the same whether its instance was open ahead or not: the same limits, the same fence, the same lock."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.common.chunk import Chunk
from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import StageFileSystem
from engine.execute.ordered_sink import OrderedSink
from engine.execute.session import SPARES, open_session
from engine.settings import DuckDBSettings

WAYS = ["anew", "ahead"]

REFUSED = [
    "FROM read_text('{other}')",
    "FROM read_text('{folder}/*')",
    "FROM read_text('{file}/../other.txt')",
    "FROM glob('{folder}/*')",
    "FROM read_text('/proc/self/environ')",
    "FROM read_parquet('https://example.com/x.parquet')",
    "COPY (SELECT 1) TO '{folder}/new.csv'",
    "COPY (SELECT 1) TO 'stage://1' (FORMAT csv, USE_TMP_FILE false)",
    "ATTACH '{folder}/new.duckdb'",
    "EXPORT DATABASE '{folder}/new'",
    "INSTALL azure",
    "LOAD azure",
    "CREATE PERSISTENT SECRET s (TYPE s3)",
    "SET enable_external_access=true",
    "SET allowed_paths=['{other}']",
    "SET allowed_directories=['{folder}']",
    "SET temp_directory='{folder}'",
    "SET memory_limit='8GB'",
    "SET threads=8",
    "SET max_temp_directory_size='1TB'",
    "SET TimeZone='Europe/Berlin'",
    "SET lock_configuration=false",
    "RESET allowed_paths",
    "RESET lock_configuration",
    "PRAGMA memory_limit='8GB'",
]


class Place:
    """A folder with a file that the session may read, one that it may not, and its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file, self.other = folder / "file.txt", folder / "other.txt"
        self.file.write_text("allowed")
        self.other.write_text("another's")
        self.settings = DuckDBSettings(
            threads=2, memory_limit="500MB", spill_directory=folder / "spill", spill_limit="2GB"
        )
        self.written: list[Chunk] = []

    @contextmanager
    def session(self, way: str, **options: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session of one of two workers, in either way."""
        sink = OrderedSink(FileAssembler(), self.written.append, count=1, max_waiting_bytes=0)
        kept: AbstractContextManager[None] = SPARES.kept() if way == "ahead" else nullcontext()
        with kept:
            before = ready() if way == "ahead" else 0
            with open_session(
                self.settings,
                threads=2,
                workers=2,
                allowed=[str(self.file), "stage://0"],
                file_systems=[StageFileSystem(sink)],
                **options,
            ) as connection:
                # It is one of those that were ready, and the place of it stays empty until the end.
                assert SPARES.ready == max(before - 1, 0)
                yield connection


def ready() -> int:
    """How many are open ahead, once there are any."""
    deadline = time.monotonic() + 30
    while SPARES.ready < 2:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return SPARES.ready


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh folder."""
    return Place(tmp_path)


STATE = {
    "settings": "SELECT name, coalesce(value, ''), scope FROM duckdb_settings() ORDER BY ALL",
    "optimizers": "SELECT name FROM duckdb_optimizers() ORDER BY ALL",
    "databases": "SELECT database_name, path, readonly FROM duckdb_databases() ORDER BY ALL",
    "schemas": "SELECT database_name, schema_name FROM duckdb_schemas() ORDER BY ALL",
    "tables": "SELECT table_name FROM duckdb_tables() ORDER BY ALL",
    "views": "SELECT schema_name, view_name FROM duckdb_views() ORDER BY ALL",
    "functions": "SELECT schema_name, function_name, parameter_types FROM duckdb_functions() ORDER BY ALL",
    "types": "SELECT schema_name, type_name FROM duckdb_types() ORDER BY ALL",
    "secrets": "FROM duckdb_secrets()",
    "prepared": "SELECT name FROM duckdb_prepared_statements()",
    "variables": "SELECT name FROM duckdb_variables()",
    "temporary files": "FROM duckdb_temporary_files()",
}


def state(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Any]]:
    """All that an instance tells of itself, but for the name of its own spill folder."""
    found = {what: connection.execute(sql).fetchall() for what, sql in STATE.items()}
    (folder,) = (value for name, value, _ in found["settings"] if name == "temp_directory")
    found["settings"] = [(name, value.replace(folder, "SPILL"), scope) for name, value, scope in found["settings"]]
    return found | {"file systems": connection.list_filesystems()}


@pytest.mark.parametrize("locked", [True, False])
def test_both_are_in_the_same_state(place: Place, locked: bool) -> None:
    with place.session("anew", locked=locked) as connection:
        anew = state(connection)
    with place.session("ahead", locked=locked) as connection:
        ahead = state(connection)
    assert ahead == anew
    assert all(anew[what] for what in ("settings", "functions", "types", "file systems"))


@pytest.mark.parametrize("way", WAYS)
def test_what_a_locked_session_is_held_to(place: Place, way: str) -> None:
    with place.session(way) as connection:
        found = {name: value for name, value, _ in connection.execute(STATE["settings"]).fetchall()}
    spill = found["temp_directory"]
    assert Path(spill).parent == place.settings.spill_directory
    expected = {
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "allow_unsigned_extensions": "false",
        "allowed_configs": "[]",
        "allowed_directories": f"[{spill}/]",
        "allowed_paths": f"['stage:/0', {place.file}]",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
        "max_temp_directory_size": "953.6 MiB",
        "memory_limit": "190.7 MiB",
        "preserve_insertion_order": "true",
        "python_enable_replacements": "false",
        "threads": "2",
        "TimeZone": "UTC",
    }
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("statement", REFUSED)
def test_what_a_locked_session_refuses(place: Place, way: str, statement: str) -> None:
    statement = statement.format(file=place.file, other=place.other, folder=place.folder)
    before = sorted(path for path in place.folder.rglob("*") if "spill" not in path.parts)
    with place.session(way) as connection, pytest.raises(duckdb.Error):
        connection.execute(statement).fetchall()
    assert sorted(path for path in place.folder.rglob("*") if "spill" not in path.parts) == before
    assert place.other.read_text() == "another's"
    assert place.written == []


@pytest.mark.parametrize("way", WAYS)
def test_what_a_locked_session_may_do(place: Place, way: str) -> None:
    with place.session(way) as connection:
        assert connection.execute("SELECT content FROM read_text($file)", {"file": str(place.file)}).fetchall() == [
            ("allowed",)
        ]
        connection.execute("COPY (SELECT 1 AS one) TO 'stage://0' (FORMAT csv, USE_TMP_FILE false)")
    assert b"".join(place.written) == b"one\n1\n"


@pytest.mark.parametrize("way", WAYS)
def test_it_spills_into_its_own_folder_and_leaves_nothing(place: Place, way: str) -> None:
    with place.session(way) as connection:
        (folder,) = place.settings.spill_directory.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        connection.execute(
            "CREATE TEMP TABLE t AS SELECT range AS n, hash(range) AS h, md5(range::VARCHAR) AS m FROM range(5000000)"
        )
        assert any(folder.iterdir())
    assert list(place.settings.spill_directory.iterdir()) == []


def test_a_session_finds_nothing_of_an_earlier_one(place: Place) -> None:
    with SPARES.kept():
        for _ in range(4):
            ready()
            with open_session(place.settings, threads=1, locked=False) as connection:
                assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]
                connection.execute("CREATE TABLE left_behind AS SELECT 1")
                connection.execute("SET VARIABLE left_behind = 1")


@pytest.mark.parametrize("way", WAYS)
def test_an_error_closes_the_instance_as_well(place: Place, way: str) -> None:
    taken: list[duckdb.DuckDBPyConnection] = []

    def fail() -> None:
        with place.session(way) as connection:
            taken.append(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(duckdb.ConnectionException):
        taken[0].execute("SELECT 1")
    assert list(place.settings.spill_directory.iterdir()) == []
