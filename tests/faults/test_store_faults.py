"""The store fails during an export, at every step and in every way: the file is correct, or there is none."""

import gc
import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog.catalog import ResultStore
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import EngineError, SourceDamaged, StoreError
from engine.exports.export import export_key
from engine.exports.exporter import Exporter
from engine.plan.planner import ExportPlan
from engine.publishing import publisher
from engine.stores import ObjectStore, block_stream, composition, open_store
from engine.stores.azure import client as azure_client
from engine.stores.azure import upload as azure_upload
from tests.faults.test_sources import check_nothing
from tests.helpers.azurite import Azurite
from tests.helpers.engine import Engine
from tests.helpers.fault_proxy import ANY, BLOCK, COMMIT, COPY, HEAD, READ, READ_PART, Fault, FaultProxy

pytestmark = [
    pytest.mark.azurite,
    # The SDK leaves broken responses and their sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROWS = 30_000
_BLOCK_BYTES = 400_000
_FOUR_PARTS = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 8192, ROW_GROUPS_PER_FILE 1, FILENAME_PATTERN '{i}'"
_ONCE = 1
RECOVERED, FAILED = "the answer, after retries", "a clear error"
INSTEAD = "the answer; the bytes pass through the service, which logs it"
COPY_FAILED = "so the service does"

WRITING: dict[str, tuple[Fault, str]] = {
    "a block is reset once": (Fault(BLOCK, "reset", times=_ONCE), RECOVERED),
    "a block is cut in the middle once": (Fault(BLOCK, "cut", times=_ONCE), RECOVERED),
    "the answer to a block is lost": (Fault(BLOCK, "lost", times=_ONCE), RECOVERED),
    "a block gets a 500": (Fault(BLOCK, "500 InternalError", times=_ONCE), RECOVERED),
    "a block gets a 503": (Fault(BLOCK, "503 ServerBusy", times=_ONCE), RECOVERED),
    "a block is never answered": (Fault(BLOCK, "hole", times=_ONCE), RECOVERED),
    "the second block gets a 503": (Fault(BLOCK, "503 ServerBusy", first=1, times=_ONCE), RECOVERED),
    "every block gets a 503": (Fault(BLOCK, "503 ServerBusy"), FAILED),
    "every block after the first is reset": (Fault(BLOCK, "reset", first=1), FAILED),
    "a block gets a 403": (Fault(BLOCK, "403 AuthenticationFailed"), FAILED),
    "a block gets a 409": (Fault(BLOCK, "409 LeaseIdMissing"), FAILED),
    "a block gets a 412": (Fault(BLOCK, "412 LeaseIdMissing"), FAILED),
    "the connection is slow": (Fault(BLOCK, "slow"), RECOVERED),
    "the commit is reset once": (Fault(COMMIT, "reset", times=_ONCE), RECOVERED),
    "the answer to the commit is lost": (Fault(COMMIT, "lost", times=_ONCE), RECOVERED),
    "the commit is never answered": (Fault(COMMIT, "hole", times=_ONCE), RECOVERED),
    "the commit gets a 500": (Fault(COMMIT, "500 InternalError", times=_ONCE), RECOVERED),
    "every commit gets a 503": (Fault(COMMIT, "503 ServerBusy"), FAILED),
    "the commit gets a 403": (Fault(COMMIT, "403 AuthenticationFailed"), FAILED),
    "every commit is reset": (Fault(COMMIT, "reset"), FAILED),
    "the store cannot be reached": (Fault(ANY, "reset"), FAILED),
    "a HEAD request is reset once": (Fault(HEAD, "reset", times=_ONCE), RECOVERED),
    "a HEAD request gets a 403": (Fault(HEAD, "403 AuthenticationFailed"), FAILED),
}
"""What goes wrong while a file is written, and what the caller sees."""


@pytest.fixture(autouse=True)
def _small_and_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts and blocks of a small run; the usual number of attempts, with short delays and timeouts."""
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", _FOUR_PARTS)
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, _BLOCK_BYTES),))
    monkeypatch.setattr(composition, "_FEWEST_BYTES", 0)
    monkeypatch.setattr(composition, "_FEWEST_BLOCK_BYTES", 0)
    monkeypatch.setattr(azure_upload, "BULK_READ_SECONDS", 3)
    monkeypatch.setitem(azure_client._RETRIES, "initial_backoff", 0.02)
    monkeypatch.setitem(azure_client._RETRIES, "increment_base", 0)


@pytest.fixture(scope="module")
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    with FaultProxy(azurite.port) as proxy:
        yield proxy
    gc.collect()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A run whose CSV is six blocks."""
    engine = Engine(tmp_path_factory.mktemp("faults"))
    texts = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(ROWS)]
    engine.publish(engine.write_parquet(pa.table({"n": pa.array(range(ROWS)), "text": texts})))
    return engine


@pytest.fixture
def direct(azurite: Azurite, tmp_path: Path) -> ObjectStore:
    """The exports store without the proxy."""
    return open_store(f"az://faults-{abs(hash(str(tmp_path))):x}/e", connection_string=azurite.connection_string)


@pytest.fixture
def exporter(engine: Engine, direct: ObjectStore, proxy: FaultProxy, tmp_path: Path) -> Iterator[Exporter]:
    proxy.inject(None)
    direct.check()
    store = open_store(f"az://faults-{abs(hash(str(tmp_path))):x}/e", connection_string=proxy.connection_string)
    store.check()
    yield Exporter(engine.results, store, engine.settings(2))
    proxy.inject(None)


OLDER = "w/older.csv"


def visible(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list("") if info.key != OLDER]


def check_whole(engine: Engine, store: ObjectStore, plan: ExportPlan) -> None:
    """Check that there is one object, with the right bytes and metadata."""
    (key,) = visible(store)
    content = store.read(key)
    info = store.head(key)
    assert info is not None
    assert info.metadata["sha256"] == hashlib.sha256(content).hexdigest()
    assert content.count(b"\n") == plan.run.rows + 1
    assert content == engine.export_bytes("csv")


@pytest.mark.parametrize("name", WRITING)
def test_a_faulty_store_yields_the_correct_file_or_none(
    engine: Engine, exporter: Exporter, direct: ObjectStore, proxy: FaultProxy, name: str
) -> None:
    fault, outcome = WRITING[name]
    plan = engine.plan(exporter, "csv")
    key = export_key(plan.run.workflow_id, plan.export_id, plan.request.format)
    # An existing object, and the expected bytes.
    direct.create(OLDER, b"older", content_type="text/csv", metadata={})
    engine.export_bytes("csv")
    here, threads = engine.keys("w/"), set(threading.enumerate())
    proxy.inject(fault)
    if outcome == RECOVERED:
        exporter.export(plan, CancelToken())
        assert proxy.hit > 0
        check_whole(engine, direct, plan)
    else:
        with pytest.raises(StoreError) as raised:
            exporter.export(plan, CancelToken())
        assert proxy.hit > 0
        assert "az://" not in raised.value.message
        assert visible(direct) == []
        check_nothing(engine, here, threads)
        check_an_older_one_stays(exporter, direct, plan, key)
    proxy.inject(None)
    check_nothing(engine, here, threads)
    # The next export works.
    exporter.export(plan, CancelToken())
    check_whole(engine, direct, plan)
    check_nothing(engine, here, threads)
    assert direct.read(OLDER) == b"older"


def check_an_older_one_stays(exporter: Exporter, direct: ObjectStore, plan: ExportPlan, key: str) -> None:
    """With the same fault, an object of that key that appears after the lookup is unchanged."""
    upload = direct.begin(key, content_type="text/csv")
    older = upload.commit([upload.stage(0, b"older")], metadata={})
    with pytest.raises(StoreError):
        exporter._write(plan, key, CancelToken(), Progress())
    assert (direct.head(key), direct.read(key)) == (older, b"older")
    assert direct.delete(key, etag=older.etag)


READING: dict[str, tuple[Fault, str]] = {
    "a read is reset once": (Fault(READ, "reset", times=_ONCE), RECOVERED),
    "a read gets a 503": (Fault(READ, "503 ServerBusy", times=_ONCE), RECOVERED),
    "the answer to a read is lost": (Fault(READ, "lost", times=_ONCE), RECOVERED),
    "every read after the second gets a 500": (Fault(READ, "500 InternalError", first=2), FAILED),
    "every read is reset": (Fault(READ, "reset"), FAILED),
    "a part was deleted meanwhile": (Fault(READ_PART, "404 BlobNotFound"), FAILED),
    "a part was replaced meanwhile": (Fault(READ, "412 ConditionNotMet", first=2), FAILED),
}
"""What goes wrong while parts are read from Azure, and what the caller sees."""


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
@pytest.mark.parametrize("name", READING)
def test_a_run_that_cannot_be_read_yields_no_file(
    engine: Engine, azurite: Azurite, proxy: FaultProxy, tmp_path: Path, name: str, format_name: str
) -> None:
    fault, outcome = READING[name]
    proxy.inject(None)
    location = f"az://reads-{abs(hash(str(tmp_path))):x}/r"
    far = Engine(tmp_path / "far", open_store(location, connection_string=azurite.connection_string))
    far.publish(engine.folder / "rows.parquet")
    through = ResultStore(open_store(location, connection_string=proxy.connection_string))
    here = Engine(tmp_path / "here")
    exporter = Exporter(through, here.store, here.settings(2))
    plan = far.plan(exporter, format_name)
    key = export_key(plan.run.workflow_id, plan.export_id, plan.request.format)
    here.store.create(OLDER, b"older", content_type="text/csv", metadata={})
    threads = set(threading.enumerate())
    proxy.inject(fault)
    if outcome == RECOVERED:
        assert exporter.export(plan, CancelToken()).rows == ROWS
        assert proxy.hit > 0
    else:
        with pytest.raises((StoreError, SourceDamaged)):
            exporter.export(plan, CancelToken())
        assert proxy.hit > 0
        check_nothing(here, [OLDER], threads)
    proxy.inject(None)
    assert exporter.export(plan, CancelToken()).rows == ROWS
    check_nothing(here, sorted([OLDER, key]), threads)
    assert here.store.read(OLDER) == b"older"


COPYING: dict[str, tuple[Fault, str]] = {
    "a copy of a block within the account is reset once": (Fault(COPY, "reset", times=_ONCE), RECOVERED),
    "the answer to a copy is lost": (Fault(COPY, "lost", times=_ONCE), RECOVERED),
    "a copy gets a 503": (Fault(COPY, "503 ServerBusy", times=_ONCE), RECOVERED),
    "a copy is never answered": (Fault(COPY, "hole", times=_ONCE), RECOVERED),
    "a copy gets a 403": (Fault(COPY, "403 CannotVerifyCopySource", times=_ONCE), INSTEAD),
    "a copy gets a 404": (Fault(COPY, "404 CannotVerifyCopySource", times=_ONCE), INSTEAD),
    "a copy gets a 409": (Fault(COPY, "409 PublicAccessNotPermitted", times=_ONCE), INSTEAD),
    "a copy gets a 412": (Fault(COPY, "412 SourceConditionNotMet", times=_ONCE), INSTEAD),
    "every copy gets a 500": (Fault(COPY, "500 CannotVerifyCopySource"), INSTEAD),
    "every copy after the second is reset": (Fault(COPY, "reset", first=2), INSTEAD),
    "every copy and every block is reset": (Fault(lambda line: COPY(line) or BLOCK(line), "reset"), FAILED),
}
"""What goes wrong while Azure copies the parts of a run to a file, and what the caller sees."""


@pytest.mark.parametrize("name", COPYING)
def test_a_run_that_azure_cannot_copy_yields_the_correct_file_or_none(
    azurite: Azurite,
    direct: ObjectStore,
    exporter: Exporter,
    engine: Engine,
    proxy: FaultProxy,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    fault, outcome = COPYING[name]
    location = f"az://copies-{abs(hash(str(tmp_path))):x}/r"
    far = Engine(tmp_path / "far", open_store(location, connection_string=azurite.connection_string))
    far.publish(engine.folder / "rows.parquet")
    through = ResultStore(open_store(location, connection_string=proxy.connection_string))
    within = Exporter(through, exporter.exports, far.settings(2))
    plan = far.plan(within, "parquet")
    threads = set(threading.enumerate())
    proxy.inject(fault)
    if outcome == FAILED:
        with pytest.raises(StoreError):
            within.export(plan, CancelToken())
        assert visible(direct) == []
    else:
        within.export(plan, CancelToken())
        check_copied(engine, direct)
    assert proxy.hit > 0
    assert any(COPY_FAILED in record.getMessage() for record in caplog.records) == (outcome != RECOVERED)
    proxy.inject(None)
    within.export(plan, CancelToken())
    check_copied(engine, direct)
    check_nothing(engine, engine.keys("w/"), threads)


def check_copied(engine: Engine, store: ObjectStore) -> None:
    """Check that there is one object, with the rows of the run and their hash."""
    (key,) = visible(store)
    content, info = store.read(key), store.head(key)
    assert info is not None
    assert info.metadata["sha256"] == hashlib.sha256(content).hexdigest()
    assert pq.read_table(io.BytesIO(content)).equals(pq.read_table(engine.folder / "rows.parquet"))


def test_two_replicas_make_the_same_export(engine: Engine, exporter: Exporter, direct: ObjectStore) -> None:
    """Both write and one commits; the other uses its object."""
    other = Exporter(engine.results, direct, engine.settings(1))
    plans = [engine.plan(one, "csv") for one in (exporter, other)]
    barrier = threading.Barrier(2)
    found: list[object] = []

    def run(one: Exporter, plan: ExportPlan) -> None:
        barrier.wait()
        try:
            found.append(one.export(plan, CancelToken()).sha256)
        except EngineError as error:
            found.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip((exporter, other), plans, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(str, found))) == 1, found
    check_whole(engine, direct, plans[0])
