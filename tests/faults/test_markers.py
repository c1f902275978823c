"""A store without its marker is unavailable, not empty, until the marker is back."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from engine.bootstrap import initialise, open_results
from engine.catalog.catalog import ResultStore
from engine.errors import Conflict, StoreNotInitialised, StoreUnavailable
from engine.settings import StorageSettings
from engine.stores import ObjectStore, marked, open_store
from engine.stores.marker import MARKER_KEYS, Role
from tests.helpers.azurite import ACCOUNT, KEY, Azurite
from tests.helpers.damages import DAMAGES, restored, rewrite
from tests.helpers.engine import Engine
from tests.helpers.running import wait_for
from tests.helpers.server import KEY as ACME_KEY
from tests.helpers.server import Server

NOTICED_SECONDS = 30
"""A bound of what hangs: `Attentive` looks at a marker ten times a second."""
ROLES: tuple[Role, ...] = ("results", "exports")
HEADERS = {"x-api-key": ACME_KEY}


class Attentive(Server):
    """A service that looks at a marker after a tenth of a second, not after two."""

    program = "from engine.stores import marked; marked.CHECK_INTERVAL_SECONDS = 0.1; from web.cli import main; main()"


@pytest.fixture
def server(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "rows.json").write_text(json.dumps([{"n": n} for n in range(3)]))
    with Attentive(store_url, tmp_path) as server:
        server.publish("--workflow", "w", "--run", "r", str(tmp_path / "rows.json"))
        yield server


def stores(server: Server) -> list[ObjectStore]:
    """Both stores, in the order of `ROLES`."""
    connection = server.environment.get("AZURE_STORAGE_CONNECTION_STRING")
    return [open_store(server.environment[f"TAILRACE_{role.upper()}"], connection_string=connection) for role in ROLES]


def uninitialised(store_url: tuple[str, dict[str, str]], folder: Path) -> Server:
    """A service whose stores have no markers, and are not initialised by the helper."""
    server = Server(store_url, folder)
    server._initialised = True
    return server


def problems(server: Server) -> list[dict[str, Any]]:
    report = json.loads(server.command("doctor", "--json").stdout)
    return [found for found in report["findings"] if found["level"] == "problem" and found["area"] in ROLES]


def test_a_missing_marker_makes_the_store_unavailable_until_it_returns(server: Server) -> None:
    url = server.export("w").json()["url"]
    assert server.request(url).status == 200
    for role, store in zip(ROLES, stores(server), strict=True):
        for name in ("empty", "a newer version"):
            with restored(store, [MARKER_KEYS[role]]) as whole:
                rewrite(store, MARKER_KEYS[role], DAMAGES[name](whole[MARKER_KEYS[role]]))
                answer = server.request("/readyz")
                assert (answer.status, answer.json()[role]) == (503, "unavailable"), (role, name)
                wait_for(lambda: server.export("w").status == 503, NOTICED_SECONDS)
                body = server.export("w").json()
                assert (body["code"], f"{role} store" in body["message"]) == ("store_unavailable", True), (role, name)
                assert "tailrace init" in body["message"], (role, name)
                assert server.request("/v4/workflows", headers=HEADERS).status == (503 if role == "results" else 200)
                assert server.request(url).status == (503 if role == "exports" else 200), name
            assert server.request("/readyz").status == 200, (role, name)
            assert server.export("w").status == 200, (role, name)
    # Everything is gone, as with a deleted container or an unmounted volume.
    for store in stores(server):
        for info in list(store.list("")):
            store.delete(info.key)
    wait_for(lambda: server.export("w").status == 503, NOTICED_SECONDS)
    wait_for(lambda: server.request(url).status == 503, NOTICED_SECONDS)
    assert server.request("/readyz").json() == {"results": "unavailable", "exports": "unavailable", "duckdb": "ok"}
    assert [found["remedy"] for found in problems(server)] == ["tailrace init"] * 2
    # Requests, probes and commands have written nothing.
    assert [info.key for store in stores(server) for info in store.list("")] == []
    assert server.command("init").returncode == 0
    assert server.request("/readyz").status == 200
    assert server.export("w").status == 404


def _nothing(_: Path) -> None:
    """Leave the root missing."""


def _check_missing(path: Path) -> None:
    assert not path.exists()


INSTEAD_OF_A_ROOT: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "nothing": (_nothing, _check_missing),
    # rmdir fails if anything was written into it.
    "an empty directory": (Path.mkdir, Path.rmdir),
    "a file": (Path.touch, Path.unlink),
    "a broken link": (lambda path: path.symlink_to("no-such"), Path.unlink),
    "a link to itself": (lambda path: path.symlink_to(path), Path.unlink),
}


def test_an_unmounted_directory_is_unavailable_until_it_returns(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"n": 1}]')
    with Attentive((str(tmp_path / "store"), {}), tmp_path) as server:
        server.publish("--workflow", "w", "--run", "r", str(tmp_path / "rows.json"))
        for role in ROLES:
            root, away = tmp_path / "store" / role, tmp_path / "away"
            for name, (put, remove) in INSTEAD_OF_A_ROOT.items():
                root.rename(away)
                put(root)
                answer = server.request("/readyz")
                assert (answer.status, answer.json()[role]) == (503, "unavailable"), (role, name)
                wait_for(lambda: server.export("w", format="json").status == 503, NOTICED_SECONDS)
                body = server.export("w", format="json").json()
                assert (body["code"], str(tmp_path) in body["message"]) == ("store_unavailable", False), (role, name)
                for command in ("sweep", "verify", "runs"):
                    done = server.command(command)
                    assert "Traceback" not in done.stderr, (role, name, command)
                    assert (done.returncode == 1) or (role, command) != ("results", "sweep"), (role, name)
                found = problems(server)
                assert any(one["area"] == role for one in found), (role, name)
                # Requests, probes and commands have written nothing, or this would fail.
                remove(root)
                away.rename(root)
                assert server.request("/readyz").status == 200, (role, name)
                assert server.export("w", format="json").status == 200, (role, name)
        assert "Traceback" not in server.log.read_text()


def test_init_writes_both_markers_once(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    server = uninitialised(store_url, tmp_path)
    assert len(problems(server)) == 2
    assert server.command("runs").returncode == 1
    first = server.command("init")
    assert (first.returncode, first.stdout.count("Initialised the")) == (0, 2)
    second = server.command("init")
    assert (second.returncode, "already initialised" in second.stdout) == (0, True)
    results, exports = (
        json.loads(store.read(MARKER_KEYS[role])) for role, store in zip(ROLES, stores(server), strict=True)
    )
    assert (results["storeId"], results["peerId"]) == (exports["peerId"], exports["storeId"])
    assert results["storeId"] != exports["storeId"]
    assert (results["formatVersion"], results["role"], exports["role"]) == (1, "results", "exports")
    assert problems(server) == []


def test_publish_initialises_new_stores_and_reports_it(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    server = uninitialised(store_url, tmp_path)
    (tmp_path / "rows.json").write_text('[{"n": 1}]')
    done = server.command("publish", "--team", "acme", "--workflow", "w", "--run", "r", str(tmp_path / "rows.json"))
    assert (done.returncode, done.stderr.count("Initialised the")) == (0, 2), done.stderr
    done = server.command("publish", "--team", "acme", "--workflow", "w", "--run", "r2", str(tmp_path / "rows.json"))
    assert (done.returncode, "Initialised" in done.stderr) == (0, False), done.stderr
    # It does not publish into the mount point of results that are not mounted.
    for info in list(stores(server)[0].list("")):
        stores(server)[0].delete(info.key)
    done = server.command("publish", "--team", "acme", "--workflow", "w", "--run", "r3", str(tmp_path / "rows.json"))
    assert (done.returncode, "mount it" in done.stderr) == (1, True), done.stderr
    assert list(stores(server)[0].list("")) == []
    assert server.command("init").returncode == 1
    assert server.command("init", "--replace").returncode == 0
    assert problems(server) == []


def test_a_store_of_an_older_version_is_adopted_once(store_url: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"n": 1}]')
    old = Server(store_url, tmp_path)
    old.publish("--workflow", "w", "--run", "r", str(tmp_path / "rows.json"), team="acme")
    assert old.command("export", "w", "--format", "json").returncode == 0
    for role, store in zip(ROLES, stores(old), strict=True):
        assert store.delete(MARKER_KEYS[role])
    with uninitialised(store_url, tmp_path) as server:
        assert server.export("w").status == 200
        assert server.request("/readyz").status == 200
        adopted = [line["event"] for line in server.logged() if "Adopted" in line["event"]]
        assert len(adopted) == 2
    with uninitialised(store_url, tmp_path) as server:
        assert server.export("w").status == 200
        assert [line for line in server.logged() if "Adopted" in line["event"]] == [
            line for line in server.logged() if line["event"] in adopted
        ]
    assert [info.key for info in stores(old)[0].list("_")] == [MARKER_KEYS["results"]]


def test_markers_are_not_listed_or_swept(server: Server) -> None:
    assert server.export("w").status == 200
    listed = server.request("/v4/workflows", headers=HEADERS).json()["workflows"]
    assert [found["workflowId"] for found in listed] == ["w"]
    for asked in ("runs", "exports"):
        done = server.command("sql", f"SELECT DISTINCT workflow FROM {asked}", "--format", "csv")
        assert (done.returncode, done.stdout, done.stderr) == (0, '"workflow"\nw\n', "")
    assert "no problems" in server.command("verify").stdout
    assert "1 export of" in server.command("verify", "--exports").stdout
    swept = server.command("sweep")
    assert (swept.returncode, swept.stdout) == (0, "0 bytes in total; 1 export remains.\n")
    for role, store in zip(ROLES, stores(server), strict=True):
        assert store.head(MARKER_KEYS[role]) is not None


def test_stores_of_two_deployments_are_not_mixed(tmp_path: Path) -> None:
    here = StorageSettings(results=str(tmp_path / "r1"), exports=str(tmp_path / "e1"))
    there = StorageSettings(results=str(tmp_path / "r2"), exports=str(tmp_path / "e2"))
    assert initialise(here) == initialise(there) == ["results", "exports"]
    mixed = StorageSettings(results=here.results, exports=there.exports)
    with pytest.raises(Conflict, match="another results store"):
        initialise(mixed)
    environment = {"TAILRACE_RESULTS": mixed.results, "TAILRACE_EXPORTS": mixed.exports}
    server = uninitialised((str(tmp_path / "x"), {}), tmp_path)
    server.environment.update(environment)
    with server:
        # At the first request, only the marker that is read last is known to belong to another deployment.
        first, second = server.request("/readyz"), server.request("/readyz")
        assert (first.status, second.status) == (503, 503)
        assert (second.json()["results"], second.json()["exports"]) == ("unavailable", "unavailable")
    # Several deployments may export the same results, each into a different store.
    another = StorageSettings(results=here.results, exports=str(tmp_path / "e3"))
    assert initialise(another) == ["exports"]
    # Results that have lost their marker get back the id that the exports' marker names.
    shutil.rmtree(tmp_path / "r1")
    Engine(tmp_path / "engine", open_store(here.results)).publish_rows([{"n": 1}])
    assert initialise(here) == ["results"]
    assert [found.workflow_id for found in open_results(here).workflows()] == ["w"]


def test_read_only_results_are_served_without_a_marker(tmp_path: Path, azurite: Azurite) -> None:
    location = f"az://readonly-{abs(hash(str(tmp_path))):x}/results"
    whole = open_store(location, connection_string=azurite.connection_string)
    Engine(tmp_path, whole).publish_rows([{"n": 1}])
    reading = StorageSettings(
        results=location, exports=str(tmp_path / "exports"), azure_account_url=_account_url(azurite, write=False)
    )
    assert open_results(reading).workflow("w") is not None
    whole.delete("workflow=w/workflow.json")
    for info in list(whole.list("")):
        whole.delete(info.key)
    with pytest.raises(StoreNotInitialised):
        open_results(reading).workflow("w")


@pytest.mark.azurite
def test_doctor_reports_a_read_only_signature(azurite: Azurite, tmp_path: Path) -> None:
    location = f"az://doctor-{abs(hash(str(tmp_path))):x}"
    environment = {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    whole = Server((location, environment), tmp_path)
    whole.initialise()
    assert problems(whole) == []
    del whole.environment["AZURE_STORAGE_CONNECTION_STRING"]
    whole.environment["AZURE_STORAGE_ACCOUNT_URL"] = _account_url(azurite, write=False)
    found = problems(whole)
    assert [one["area"] for one in found] == list(ROLES)
    assert all("not written" in one["text"] and "signature" in one["remedy"] for one in found)
    assert whole.command("doctor").returncode == 1
    whole.environment["AZURE_STORAGE_ACCOUNT_URL"] = _account_url(azurite, write=True, delete=False)
    found = problems(whole)
    assert ["deleted" in one["text"] for one in found] == [True, True]


def _account_url(azurite: Azurite, *, write: bool, delete: bool = True) -> str:
    signature = generate_account_sas(
        ACCOUNT,
        KEY,
        resource_types=ResourceTypes(object=True, container=True),
        permission=AccountSasPermissions(
            read=True, list=True, write=write, create=write, add=write, delete=write and delete
        ),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"http://127.0.0.1:{azurite.port}/{ACCOUNT}?{signature}"


def test_a_spill_directory_or_part_of_the_wrong_kind_returns_503(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{"n": n} for n in range(100)]))
    with Server((str(tmp_path / "store"), {}), tmp_path) as server:
        server.publish("--workflow", "w", "--run", "r", str(tmp_path / "rows.json"))
        spill, away = tmp_path / "spill", tmp_path / "away"
        for name in ("a file", "a broken link", "a link to itself", "a file above"):
            shutil.rmtree(spill, ignore_errors=True)
            if name == "a file":
                spill.touch()
            else:
                spill.symlink_to(
                    tmp_path / {"a link to itself": "spill", "a file above": "rows.json/x"}.get(name, "no")
                )
            answer = server.export("w", sortBy="n", order="desc", format="csv")
            assert (answer.status, answer.json()["code"]) == (503, "store_unavailable"), name
            assert "TAILRACE_SPILL_DIRECTORY" in answer.json()["message"], name
            done = server.command(
                "publish", "--team", "acme", "--workflow", "w", "--run", "x", str(tmp_path / "rows.json")
            )
            assert (done.returncode, "Traceback" in done.stderr) == (1, False), (name, done.stderr)
            assert server.command("sweep").returncode == 0, name
            report = json.loads(server.command("doctor", "--json").stdout)
            assert any(one["area"] == "spill" and one["level"] == "problem" for one in report["findings"]), name
            spill.unlink()
        assert server.export("w", sortBy="n", order="desc", format="csv").status == 200
        (run,) = ResultStore(open_store(server.environment["TAILRACE_RESULTS"])).runs("w")
        part = tmp_path / "store" / "results" / run.parts[0].key
        for name in ("a broken link", "a link to itself", "a directory"):
            part.rename(away)
            if name == "a directory":
                part.mkdir()
            else:
                part.symlink_to(tmp_path / "no-such" if name == "a broken link" else part)
            answer = server.export("w", format="json")
            assert (answer.status, answer.json()["code"]) == (503, "store_unavailable"), name
            assert str(tmp_path) not in answer.json()["message"], name
            verified = server.command("verify")
            assert (verified.returncode, run.parts[0].key in verified.stderr) == (1, True), (name, verified.stderr)
            if name == "a directory":
                part.rmdir()
            else:
                part.unlink()
            away.rename(part)
        assert server.export("w", format="json").status == 200


def test_the_marker_is_read_at_most_once_in_two_seconds(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = 0

    def require() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise StoreUnavailable("gone")

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    guarded = marked.MarkedStore(store, require)
    for _ in range(5):
        guarded.head("a")
        list(guarded.list(""))
    assert (checks, marked.CHECK_INTERVAL_SECONDS) == (1, 2)
    now += marked.CHECK_INTERVAL_SECONDS
    guarded.head("a")
    assert checks == 2
    now += marked.CHECK_INTERVAL_SECONDS
    with pytest.raises(StoreUnavailable):
        guarded.head("a")
    # After a failed check, the next call checks again.
    guarded.head("a")
    assert checks == 4
    # Every write checks.
    guarded.create("a", b"x", content_type="text/plain", metadata={})
    guarded.delete("a")
    assert checks == 6
    # But not into a store that cannot be unmounted.
    container = marked.MarkedStore(store, require, each_write=False)
    container.create("a", b"x", content_type="text/plain", metadata={})
    container.delete("a")
    assert checks == 7
    now += marked.CHECK_INTERVAL_SECONDS
    container.create("a", b"x", content_type="text/plain", metadata={})
    assert checks == 8
