"""A session has the same limits, allow-list and lock, whether its instance comes from a pool or not."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.common.chunk import Chunk
from engine.errors import LimitExceeded
from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import StageFileSystem
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from engine.execute.session import open_instance, open_session
from engine.execute.spill_limit import limit_spill
from engine.settings import DuckDBSettings
from tests.helpers.running import wait_for

POOLED = [False, True]

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


class Workspace:
    """A folder with a file on the allow-list, another file, and the settings of sessions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file, self.other = folder / "file.txt", folder / "other.txt"
        self.file.write_text("allowed")
        self.other.write_text("other")
        self.settings = DuckDBSettings(
            threads=2, memory_limit="500MB", spill_directory=folder / "spill", spill_limit="2GB"
        )
        self.written: list[Chunk] = []

    @contextmanager
    def session(self, pooled: bool, **options: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session of one of two workers, with an instance of a pool or without."""
        sink = OrderedSink(FileAssembler(), self.written.append, count=1, max_waiting_bytes=0)
        with (
            running_pool() if pooled else nullcontext() as instances,
            open_session(
                self.settings,
                threads=2,
                workers=2,
                allowed=[str(self.file), "stage://0"],
                file_systems=[StageFileSystem(sink)],
                instances=instances,
                **options,
            ) as connection,
        ):
            # Its instance was ready, and is replaced after the session.
            assert instances is None or instances.ready == instances.size - 1
            yield connection


@contextmanager
def running_pool() -> Iterator[InstancePool]:
    """A full pool."""
    instances = InstancePool(open_instance)
    with instances.running():
        wait_for(lambda: instances.ready == instances.size)
        yield instances


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


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
    """Everything that an instance reports about itself, except the name of its spill folder."""
    found = {what: connection.execute(sql).fetchall() for what, sql in STATE.items()}
    (folder,) = (value for name, value, _ in found["settings"] if name == "temp_directory")
    found["settings"] = [(name, value.replace(folder, "SPILL"), scope) for name, value, scope in found["settings"]]
    return found | {"file systems": connection.list_filesystems()}


@pytest.mark.parametrize("locked", [True, False])
def test_a_session_has_the_same_state_with_and_without_a_pool(workspace: Workspace, locked: bool) -> None:
    with workspace.session(False, locked=locked) as connection:
        unpooled = state(connection)
    with workspace.session(True, locked=locked) as connection:
        pooled = state(connection)
    assert pooled == unpooled
    assert all(unpooled[what] for what in ("settings", "functions", "types", "file systems"))


@pytest.mark.parametrize("pooled", POOLED)
def test_the_settings_of_a_locked_session(workspace: Workspace, pooled: bool) -> None:
    with workspace.session(pooled) as connection:
        found = {name: value for name, value, _ in connection.execute(STATE["settings"]).fetchall()}
    # DuckDB 1.5 shows one slash.
    found["allowed_paths"] = found["allowed_paths"].replace("stage:/0", "stage://0")
    spill = found["temp_directory"]
    assert Path(spill).parent == workspace.settings.spill_directory
    expected = {
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "allow_unsigned_extensions": "false",
        "allowed_configs": "[]",
        "allowed_directories": f"[{spill}/]",
        "allowed_paths": f"['stage://0', {workspace.file}]",
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


@pytest.mark.parametrize("pooled", POOLED)
def test_a_locked_session_refuses_everything_else(
    workspace: Workspace, pooled: bool, subtests: pytest.Subtests
) -> None:
    before = sorted(path for path in workspace.folder.rglob("*") if "spill" not in path.parts)
    with workspace.session(pooled) as connection:
        for statement in REFUSED:
            asked = statement.format(file=workspace.file, other=workspace.other, folder=workspace.folder)
            with subtests.test(statement):
                with pytest.raises(duckdb.Error):
                    connection.execute(asked).fetchall()
                assert sorted(path for path in workspace.folder.rglob("*") if "spill" not in path.parts) == before
                assert workspace.other.read_text() == "other"
                assert workspace.written == []


@pytest.mark.parametrize("pooled", POOLED)
def test_a_locked_session_reads_and_writes_what_is_allowed(workspace: Workspace, pooled: bool) -> None:
    with workspace.session(pooled) as connection:
        assert connection.execute("SELECT content FROM read_text($file)", {"file": str(workspace.file)}).fetchall() == [
            ("allowed",)
        ]
        connection.execute("COPY (SELECT 1 AS one) TO 'stage://0' (FORMAT csv, USE_TMP_FILE false)")
    assert b"".join(workspace.written) == b"one\n1\n"


@pytest.mark.parametrize("pooled", POOLED)
def test_a_session_spills_into_a_private_folder_that_is_removed(workspace: Workspace, pooled: bool) -> None:
    with workspace.session(pooled) as connection:
        (folder,) = workspace.settings.spill_directory.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        connection.execute(
            "CREATE TEMP TABLE t AS SELECT range AS n, hash(range) AS h, md5(range::VARCHAR) AS m FROM range(5000000)"
        )
        assert any(folder.iterdir())
    assert list(workspace.settings.spill_directory.iterdir()) == []


def test_what_a_statement_leaves_in_the_folder_counts_as_spilled(tmp_path: Path) -> None:
    # It ends before the folder is looked at for the first time.
    with duckdb.connect() as connection:
        with limit_spill(connection, tmp_path, 1000):
            (tmp_path / "rows").write_bytes(bytes(1000))
        with pytest.raises(LimitExceeded, match="spill space"), limit_spill(connection, tmp_path, 1000):
            (tmp_path / "rows").write_bytes(bytes(1001))


def test_sessions_do_not_share_state(workspace: Workspace) -> None:
    with running_pool() as instances:
        for _ in range(4):
            wait_for(lambda: instances.ready == instances.size)
            with open_session(workspace.settings, threads=1, locked=False, instances=instances) as connection:
                assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]
                connection.execute("CREATE TABLE left_behind AS SELECT 1")
                connection.execute("SET VARIABLE left_behind = 1")


@pytest.mark.parametrize("pooled", POOLED)
def test_an_error_closes_the_instance(workspace: Workspace, pooled: bool) -> None:
    opened: list[duckdb.DuckDBPyConnection] = []

    def fail() -> None:
        with workspace.session(pooled) as connection:
            opened.append(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(duckdb.ConnectionException):
        opened[0].execute("SELECT 1")
    assert list(workspace.settings.spill_directory.iterdir()) == []
