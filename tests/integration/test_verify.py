"""``tailrace verify`` finds damaged parts and exports, on either store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.exports.export import export_key
from engine.exports.verify import verify_exports, verify_run
from engine.stores import ObjectStore
from tests.helpers.engine import WORKFLOW, Engine
from tests.helpers.server import TEAM, Server


@pytest.fixture
def engine(tmp_path: Path, store: ObjectStore) -> Engine:
    engine = Engine(tmp_path / "engine", store)
    engine.publish_rows([{"n": n} for n in range(3000)])
    return engine


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "gone": (lambda _: None, "it is missing"),
    "a flipped bit": (_flipped, "its bytes differ from those that were published"),
    "cut": (lambda data: data[:-1], "bytes and was published with"),
    "longer": (lambda data: data + b" ", "bytes and was published with"),
    "rewritten": (lambda data: data, "it was rewritten"),
}


def _damage(store: ObjectStore, key: str, change: Callable[[bytes], bytes | None]) -> None:
    info = store.head(key)
    assert info is not None
    data = change(store.read(key))
    store.delete(key)
    if data is not None:
        store.create(key, data, content_type=info.content_type, metadata=info.metadata)


def test_intact_runs_and_exports_have_no_problem(engine: Engine) -> None:
    run = engine.results.resolve(WORKFLOW, None, TEAM)
    assert [one.problem for one in verify_run(engine.results, run)] == [None]
    for format_name in ("csv", "json", "parquet"):
        engine.export(format_name)
    found = list(verify_exports(engine.store))
    assert len(found) == 3
    assert all(one.problem is None for one in found)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_part_is_reported_with_the_reason(engine: Engine, name: str) -> None:
    change, reason = DAMAGES[name]
    run = engine.results.resolve(WORKFLOW, None, TEAM)
    _damage(engine.store, run.parts[0].key, change)
    (found,) = verify_run(engine.results, run)
    assert found.problem is not None
    assert reason in found.problem


@pytest.mark.parametrize("change", [_flipped, lambda data: data[:-1]])
def test_a_damaged_export_is_reported(engine: Engine, change: Callable[[bytes], bytes]) -> None:
    export = engine.export("csv")
    other = engine.export("json")
    _damage(engine.store, export_key(WORKFLOW, export.export_id, export.format), change)
    problems = {one.key: one.problem for one in verify_exports(engine.store, WORKFLOW)}
    assert problems[export_key(WORKFLOW, other.export_id, other.format)] is None
    assert problems[export_key(WORKFLOW, export.export_id, export.format)] is not None
    assert list(verify_exports(engine.store, "another")) == []


def test_the_verify_command_reports_damage_and_invalid_arguments(tmp_path: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    (tmp_path / "rows.csv").write_text("n\n1\n")
    server.publish("--workflow", "w", "--run", "r1", str(tmp_path / "rows.csv"))
    done = server.command("verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 file of ")
    assert done.stdout.endswith(" bytes read: no problems.\n")
    assert server.command("verify", "w", "--exports").stdout == "0 exports of 0 bytes read: no problems.\n"
    (part,) = (tmp_path / "store").rglob("*.parquet")
    part.chmod(0o600)
    part.write_bytes(_flipped(part.read_bytes()))
    done = server.command("verify", "w", "--run", "r1")
    assert done.returncode == 1
    assert done.stderr.endswith("its bytes differ from those that were published.\n")
    assert done.stdout.endswith(": 1 damaged.\n")
    for arguments, code in (
        (["verify", "w", "--run", "r9"], 1),
        (["verify", "--run", "r1"], 2),
        (["verify", "no/id"], 1),
    ):
        done = server.command(*arguments)
        assert done.returncode == code
        assert "Traceback" not in done.stderr
