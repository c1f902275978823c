"""Generated requests over HTTP: the body of each answer and the file behind its URL are what the contract says."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from engine.errors import InvalidFilter, InvalidRequest
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.stores import open_store
from tests.helpers.engine import WORKFLOW, Engine
from tests.helpers.server import KEY, Answer, Server
from tests.property.cases import Cases
from tests.property.checks import hold
from tests.property.datasets import Dataset
from tests.property.expected import Expected
from tests.property.pairs import changed_rows, pair_of_runs
from tests.property.requests import MAX_EXPIRES_IN, GeneratedRequest, request_for
from tests.property.sending import spell

_PATH = f"/v4/workflows/{WORKFLOW}/data/export"
_ERRORS = {kind.code: kind for kind in (InvalidRequest, InvalidFilter)}
_MAX_QUERY_BYTES = 32 * 1024
_SLOW = timedelta(seconds=60)
"""Between the answer and the look at the clock here."""


@pytest.fixture(scope="module")
def server(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service on each kind of store."""
    with Server(module_store_url, tmp_path_factory.mktemp("answers")) as running:
        yield running


@pytest.fixture
def engine(server: Server, module_store_url: tuple[str, dict[str, str]], tmp_path: Path) -> Engine:
    """Publishes into the store of the service."""
    location, extra = module_store_url
    store = open_store(f"{location}/results", connection_string=extra.get("AZURE_STORAGE_CONNECTION_STRING"))
    return Engine(tmp_path, store)


def test_answers_and_files_are_right(server: Server, engine: Engine, store_kind: str) -> None:
    numbers = itertools.count()

    def property_(chance: Random) -> int:
        (old, new), number = pair_of_runs(chance), next(numbers)
        old.publish(engine, f"r{number}-old")
        new.publish(engine, f"r{number}")
        changes = changed_rows(old, new)
        for format_name in FORMATS:
            data, since = chance.choice([(new, None), (changes, f"r{number}-old")])
            asked = replace(request_for(chance, data, format_name), since_run=since)
            # What this operator keeps depends on the clock of the service.
            filters = [entry for entry in asked.filters if entry["operator"] != "WITHIN_LAST_DAYS"]
            _holds(server, f"r{number}", data, replace(asked, filters=tuple(filters)))
        return len(FORMATS)

    name = f"answers, {store_kind}"
    Cases(name, 0.03).explore(property_, per_example=len(FORMATS))


def _holds(server: Server, run: str, data: Dataset, asked: GeneratedRequest) -> None:
    body: dict[str, object] = {}

    def exported() -> bytes:
        answer = _ask(server, run, asked)
        if answer.status == 400:
            error = json.loads(answer.body)
            raise _ERRORS[error["code"]](error["message"], **error["details"])
        assert answer.status == 200, answer.body
        body.update(answer.json())
        return _file(server, run, asked, body)

    try:
        wanted = hold(data, asked, exported)
        if body:
            _describes(body, run, asked, wanted)
    except (AssertionError, pytest.fail.Exception) as error:
        error.add_note(f"{asked}\non {data}")
        raise


def _ask(server: Server, run: str, asked: GeneratedRequest) -> Answer:
    parameters, headers = asked.parameters(run), {"x-api-key": KEY}
    query = asked.sending.query(parameters)
    if asked.sending.form == "body" or len(query) > _MAX_QUERY_BYTES:
        return server.request(_PATH, "POST", headers | {"content-type": "application/json"}, spell(parameters).encode())
    return server.request(f"{_PATH}?{query.decode()}", headers=headers)


def _file(server: Server, run: str, asked: GeneratedRequest, body: dict[str, object]) -> bytes:
    """Open the URL without any header, and check the headers of the file."""
    url = str(body["url"])
    file = server.request(url)
    assert file.status == 200, file.body
    compression, format_ = COMPRESSIONS[asked.compression], FORMATS[asked.format]
    plain = asked.compression == "none"
    extension = format_.name if plain else f"{format_.name}.{ {'gzip': 'gz', 'zstd': 'zst'}[asked.compression] }"
    name = urlsplit(url).path.rpartition("/")[2]
    assert name in {f"{WORKFLOW}-{run}{kind}.{extension}" for kind in ("", "-filtered", "-changes")}
    assert name.endswith(f"-changes.{extension}") == (asked.since_run is not None)
    assert file.headers["content-disposition"].startswith(f'attachment; filename="{name}"')
    assert file.headers["content-type"] == (format_.content_type if plain else compression.content_type)
    assert "content-encoding" not in file.headers
    assert hashlib.sha256(file.body).hexdigest() == body["sha256"]
    assert len(file.body) == body["sizeBytes"]
    return file.body


def _describes(body: dict[str, object], run: str, asked: GeneratedRequest, wanted: Expected) -> None:
    assert (body["workflowId"], body["runId"], body["format"]) == (WORKFLOW, run, asked.format)
    assert body["rowCount"] == len(wanted.rows)
    assert [field["name"] for field in body["schema"]] == list(wanted.columns)  # type: ignore[attr-defined]  # a JSON array
    expires = datetime.fromisoformat(str(body["expiresAt"]))
    life = timedelta(seconds=asked.expires_in or MAX_EXPIRES_IN)
    assert timedelta(0) <= datetime.now(UTC) + life - expires < _SLOW
    unmatched = None if asked.row_ids is None else len(set(asked.row_ids)) - len(wanted.rows)
    assert body.get("unmatchedRowIds") == unmatched
