"""Clients that are generated from the served OpenAPI document, in Python and TypeScript, call every operation."""

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.generated.calls import CALLS, FINISHED, RUNNING, RUNS, UNWANTED, Call
from tests.helpers.azurite import Azurite
from tests.helpers.fault_proxy import Fault, FaultProxy
from tests.helpers.server import PUBLISH_KEY, Server

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-generated/bin/python"
NODE_MODULES = HERE / "node_modules"
Json = dict[str, Any]


pytestmark = pytest.mark.azurite


@dataclass(frozen=True)
class Service:
    """The service, its document as a file, and a folder for clients."""

    server: Server
    document: Json
    folder: Path

    @property
    def file(self) -> str:
        """The path of the document."""
        return str(self.folder / "openapi.json")

    def calls(self) -> list[Call]:
        """The calls with the ids of new exports in their paths."""
        finished, unwanted = self.server.export("shop"), self.server.export("shop", sortBy="price")
        ids = {
            FINISHED: finished.json()["exportId"],
            UNWANTED: unwanted.json()["exportId"],
            RUNNING: self._running_export(),
        }
        return [
            replace(call, path={name: ids.get(value, value) for name, value in call.path.items()}) for call in CALLS
        ]

    def _running_export(self) -> str:
        """The id of a new export that runs until it is cancelled."""
        query, headers = f"format=xlsx&rowIds={uuid.uuid4()}", {"x-api-key": PUBLISH_KEY, "prefer": "respond-async"}
        started = self.server.request(f"/v4/workflows/shop/data/export?{query}", headers=headers)
        assert started.status == 202, started.body
        return str(started.json()["exportId"])

    def operations(self) -> dict[str, tuple[str, str]]:
        """The method and path of each operation of the document."""
        return {
            operation["operationId"]: (method.upper(), path)
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if method != "parameters"
        }


def _writes_a_sheet(line: str) -> bool:
    return line.startswith("PUT") and ".xlsx" in line


@pytest.fixture(scope="module")
def service(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on a store that never answers to the upload of a sheet."""
    folder = tmp_path_factory.mktemp("generated")
    with (
        FaultProxy(azurite.port) as proxy,
        Server(
            (f"az://generated-{uuid.uuid4().hex}/x", {"AZURE_STORAGE_CONNECTION_STRING": proxy.connection_string}),
            folder,
            TAILRACE_SHUTDOWN_GRACE_SECONDS="1",
        ) as server,
    ):
        proxy.inject(Fault(_writes_a_sheet, "hole"))
        for run, rows in RUNS.items():
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{run}.parquet")
            server.publish("--workflow", "shop", "--run", run, "--row-id", "sku", str(folder / f"{run}.parquet"))
        answer = server.request("/openapi.json")
        (folder / "openapi.json").write_bytes(answer.body)
        yield Service(server, answer.json(), folder)
        proxy.inject(None)


def run(*command: object, folder: Path, sent: str = "") -> str:
    """Run a program, which must succeed."""
    words = [str(word) for word in command]
    environment = {**os.environ, "NO_PROXY": "*"}
    done = subprocess.run(words, input=sent, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(found: Any, expected: Any) -> None:
    """Check that a result has what is expected."""
    match expected:
        case dict():
            assert expected.keys() <= found.keys()
            for name, value in expected.items():
                check(found[name], value)
        case list():
            assert len(found) == len(expected)
            for one, value in zip(found, expected, strict=True):
                check(one, value)
        case re.Pattern():
            assert expected.fullmatch(found), found
        case _ if expected is ...:
            assert found is not None
        case _:
            assert found == expected


def check_all(calls: list[Call], answers: list[Json]) -> None:
    """Check the outcomes of all calls."""
    assert len(calls) == len(answers)
    for call, answer in zip(calls, answers, strict=True):
        assert answer["status"] == call.status, (call.operation, answer)
        assert call.headers.items() <= answer["headers"].items(), (call.operation, answer["headers"])
        check(answer["data" if isinstance(call.result, dict) else "text"], call.result)


def test_every_operation_is_called(service: Service) -> None:
    assert sorted(service.operations()) == sorted({call.operation for call in CALLS})


@pytest.mark.skipif(not PYTHON.exists(), reason="openapi-python-client is missing: make .venv-generated/installed")
def test_a_generated_python_client_calls_every_operation(service: Service) -> None:
    run(
        *(PYTHON, "-m", "openapi_python_client", "generate", "--path", service.file, "--meta", "none"),
        *("--output-path", "generated_client", "--config", HERE / "openapi-python-client.yml", "--fail-on-warning"),
        folder=service.folder,
    )
    calls = service.calls()
    # It sends every file as the last of the types that the operation takes, which is Parquet.
    rows = str(service.folder / "r1.parquet")
    sent = [
        (call.operation, call.path | call.query | call.header, rows if isinstance(call.body, list) else call.body)
        for call in calls
    ]
    client = (PYTHON, "-W", "error", HERE / "python_client.py", service.folder, service.server.base, PUBLISH_KEY)
    check_all(calls, json.loads(run(*client, folder=service.folder, sent=json.dumps(sent))))


@pytest.mark.skipif(
    not NODE_MODULES.exists() or shutil.which("node") is None,
    reason="openapi-typescript is missing: run `npm ci` in tests/generated",
)
def test_a_generated_typescript_client_calls_every_operation(service: Service) -> None:
    folder = service.folder
    (folder / "node_modules").symlink_to(NODE_MODULES)
    bin_ = NODE_MODULES / ".bin"
    # By default, members of a body that have a default would be required.
    options = ("--default-non-nullable", "false", "-o", "document.d.mts")
    run(bin_ / "openapi-typescript", service.file, *options, folder=folder)
    calls = service.calls()
    (folder / "client.mts").write_text(_program(service, calls), "utf-8")
    # Arguments that are not those of the document are errors of types here.
    run(bin_ / "tsc", "--strict", "--target", "es2022", "--module", "nodenext", "client.mts", folder=folder)
    check_all(calls, json.loads(run("node", "client.mjs", folder=folder)))


_HEAD = """
import createClient from "openapi-fetch";
import type { paths } from "./document.mjs";
const client = createClient<paths>({ baseUrl: %s, headers: { "x-api-key": %s } });
const answers: unknown[] = [];
const text = async (call: Promise<{ data?: string, error?: unknown, response: Response }>) => {
  const { data, response } = await call;
  answers.push({ status: response.status, headers: Object.fromEntries(response.headers), text: data ?? "" });
};
const json = async (call: Promise<{ data?: unknown, error?: unknown, response: Response }>) => {
  const { data, error, response } = await call;
  answers.push({ status: response.status, headers: Object.fromEntries(response.headers), data: data ?? error });
};
"""


def _program(service: Service, calls: list[Call]) -> str:
    """A program with the calls as literals, whose types are therefore checked."""
    operations = service.operations()
    lines = [_HEAD % (json.dumps(service.server.base), json.dumps(PUBLISH_KEY))]
    for call in calls:
        method, path = operations[call.operation]
        wanted = "json" if isinstance(call.result, dict) else "text"
        given = {place: values for place in ("path", "query", "header") if (values := getattr(call, place))}
        options = [f'parseAs: "{wanted}"', *([f"params: {json.dumps(given)}"] if given else [])]
        if isinstance(call.body, list):
            # The text of a file, which is sent as it is.
            options += [f"body: {json.dumps(json.dumps(call.body))}", "bodySerializer: (file) => file"]
        elif call.body is not None:
            options.append(f"body: {json.dumps(call.body)}")
        lines.append(f"await {wanted}(client.{method}({json.dumps(path)}, {{ {', '.join(options)} }}));")
    lines.append("console.log(JSON.stringify(answers));")
    return "\n".join(lines)
