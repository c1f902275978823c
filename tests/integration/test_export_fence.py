"""The session of an export reads its parts and writes its targets only, whoever used the instance before."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from engine.catalog.manifest import Part, Run
from engine.common.chunk import Chunk
from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import StageFileSystem
from engine.execute.ordered_sink import OrderedSink
from engine.execute.run_files import RunFiles, source_of
from engine.execute.session import open_session
from engine.stores import open_store
from tests.helpers.engine import Engine
from tests.integration.test_sql_fence import OTHERS, READS


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, module_store_url: tuple[str, dict[str, str]]) -> Engine:
    location, environment = module_store_url
    store = open_store(location, connection_string=environment.get("AZURE_STORAGE_CONNECTION_STRING"))
    return Engine(tmp_path_factory.mktemp("engine"), store)


@pytest.fixture(scope="module")
def run(engine: Engine) -> Run:
    """The exported run."""
    return engine.publish_rows([{"a": 1}], run="mine")


@pytest.fixture(scope="module")
def other(engine: Engine) -> Part:
    """A part of another run in the same store."""
    return engine.publish_rows([{"a": 2}], run="other").parts[0]


@contextmanager
def opened(engine: Engine, run: Run, staged: list[Chunk]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session as an export opens it, with the parts of a run and one target."""
    source = RunFiles(engine.store, run.parts, run.published_at)
    sink = OrderedSink(FileAssembler(), staged.append, count=1, max_waiting_bytes=0)
    with open_session(
        engine.settings(1),
        threads=1,
        allowed=[*source.names(run.parts), "stage://0"],
        file_systems=(StageFileSystem(sink), source.file_system()),
    ) as connection:
        yield connection


@pytest.fixture
def session(engine: Engine, run: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    with opened(engine, run, []) as connection:
        yield connection


def with_paths(statement: str, folder: Path, own: str, theirs: str) -> str:
    """A statement of the tables above about a part of the export and another one; it may write into the folder."""
    return statement.format(
        out=folder / "out",
        own=own,
        other=theirs,
        other_name=theirs.rpartition("/")[2],
        sibling=f"{own}x",
        folder=own.rpartition("/")[0],
    )


def contents(engine: Engine) -> dict[str, bytes]:
    """The content of the store by key."""
    return {info.key: engine.store.read(info.key) for info in engine.store.list("")}


PARTS = [
    "FROM read_parquet('{other}')",
    "FROM read_parquet(['{own}', '{other}'])",
    "FROM read_parquet('{sibling}')",
    "FROM read_parquet('{own}/../{other_name}')",
    "FROM read_parquet('{folder}/*')",
    "FROM glob('{folder}/*')",
    "FROM parquet_metadata('{other}')",
    "COPY (SELECT 1) TO '{other}' (FORMAT parquet, USE_TMP_FILE false)",
    "COPY (SELECT 1) TO '{sibling}' (FORMAT parquet, USE_TMP_FILE false)",
    "COPY (SELECT 1) TO 'stage://1' (USE_TMP_FILE false)",
    "COPY (SELECT 1) TO 'stage://00' (USE_TMP_FILE false)",
    "COPY (SELECT 1) TO 'stage://0/../1' (USE_TMP_FILE false)",
    "ATTACH '{sibling}'",
]
"""Parts of another run, and names that begin with an allowed one."""

CHANGES = [
    "SET allowed_paths = ['/etc/passwd']",
    "SET allowed_directories = ['/']",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "SET autoinstall_known_extensions = true",
    "SET allow_community_extensions = true",
    "SET allow_persistent_secrets = true",
    "SET memory_limit = '1TB'",
    "SET threads = 64",
    "SET temp_directory = '{out}'",
    "SET max_temp_directory_size = '1TB'",
    "SET TimeZone = 'Asia/Tokyo'",
    "PRAGMA memory_limit = '1TB'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL azure FROM 'https://example.com'",
    "CREATE SECRET s (TYPE azure, CONNECTION_STRING 'x')",
]
"""Statements that would remove a restriction or a limit."""

_UNFENCED = ("FROM read_blob('{part}')", "FROM read_parquet('{part}')", "COPY (SELECT 1) TO '{part}'", "part://{key}")
"""Parts of the statements for user SQL that concern a part which an export may read."""

_HARMLESS = "PRAGMA enable_profiling"
"""DuckDB's configuration lock permits it; this session runs no user SQL."""

USER_SQL = [one for one in (*READS, *OTHERS) if one != _HARMLESS and not any(text in one for text in _UNFENCED)]


def test_an_export_session_refuses_everything_else(
    engine: Engine,
    run: Run,
    other: Part,
    session: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    subtests: pytest.Subtests,
) -> None:
    own = source_of(engine.store, run.parts[0].key)
    theirs = source_of(engine.store, other.key)
    before = contents(engine)
    settings = session.execute("FROM duckdb_settings() ORDER BY name").fetchall()
    for statement in (*PARTS, *CHANGES, *USER_SQL):
        with subtests.test(statement):
            with pytest.raises((duckdb.Error, RuntimeError)):
                session.execute(with_paths(statement, tmp_path, own, theirs)).fetchall()
            assert session.execute("FROM duckdb_settings() ORDER BY name").fetchall() == settings
            assert not (tmp_path / "out").exists()
            # Its part remains readable.
            assert session.execute("SELECT a FROM read_parquet(?)", [own]).fetchall() == [(1,)]
    assert contents(engine) == before


def test_an_export_session_has_no_secrets(session: duckdb.DuckDBPyConnection) -> None:
    assert session.execute("FROM duckdb_secrets()").fetchall() == []
    # DuckDB 1.5 and 2.0 differ in what ~ means.
    named = "regexp_matches(name, '(secret|password|connection_string|credential)')"
    hidden = dict(session.execute(f"SELECT name, value FROM duckdb_settings() WHERE {named}").fetchall())
    # Where secrets would be stored, which this session does not do.
    assert hidden.pop("default_secret_storage") == "local_file"
    assert hidden.pop("secret_directory").endswith("/.duckdb/stored_secrets")
    assert hidden == {
        "allow_persistent_secrets": "false",
        "allow_unredacted_secrets": "false",
        "http_proxy_password": "",
        "password": "",
    }


def test_a_session_has_nothing_of_the_previous_one(engine: Engine, run: Run, other: Part) -> None:
    """Not its parts, its target or its objects, even if instances are opened ahead of their use."""
    theirs = engine.results.run("w", "other")
    assert theirs is not None
    own, foreign = source_of(engine.store, run.parts[0].key), source_of(engine.store, other.key)
    first: list[Chunk] = []
    with opened(engine, run, first) as connection:
        connection.execute("CREATE MACRO count(x) AS 7")
        connection.execute("CREATE VIEW data AS SELECT 1")
        connection.execute("COPY (SELECT 1 AS a) TO 'stage://0' (FORMAT csv, USE_TMP_FILE false)")
    taken = len(first)
    second: list[Chunk] = []
    with opened(engine, theirs, second) as connection:
        assert connection.execute("SELECT count(a) FROM read_parquet(?)", [foreign]).fetchall() == [(1,)]
        with pytest.raises((duckdb.Error, RuntimeError)):
            connection.execute("SELECT a FROM read_parquet(?)", [own]).fetchall()
        with pytest.raises(duckdb.Error):
            connection.execute("FROM data")
        connection.execute("COPY (SELECT 2 AS a) TO 'stage://0' (FORMAT csv, USE_TMP_FILE false)")
    assert (b"".join(first), b"".join(second)) == (b"a\n1\n", b"a\n2\n")
    assert len(first) == taken


def test_concurrent_sessions_are_isolated(engine: Engine, run: Run, other: Part) -> None:
    theirs = engine.results.run("w", "other")
    assert theirs is not None
    own, foreign = source_of(engine.store, run.parts[0].key), source_of(engine.store, other.key)
    with opened(engine, run, []) as mine, opened(engine, theirs, []) as beside:
        for session, allowed, refused in ((mine, own, foreign), (beside, foreign, own)):
            assert session.execute("SELECT count(*) FROM read_parquet(?)", [allowed]).fetchall() == [(1,)]
            with pytest.raises((duckdb.Error, RuntimeError)):
                session.execute("SELECT count(*) FROM read_parquet(?)", [refused]).fetchall()
