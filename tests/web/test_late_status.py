"""A status document that its job writes while a caller reads it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from engine.common.progress import Phase
from engine.exports.status import STALE_SECONDS, ExportStatus
from engine.python_api import publish
from tests.helpers.services import services_in
from web.api.exports.status import status
from web.app import create_app_with
from web.jobs.export_jobs import ExportJobs

_EXPORT_ID = "00000000-0000-0000-0000-000000000001"


def test_an_end_that_is_written_during_the_look_is_not_called_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = services_in(tmp_path)
    (tmp_path / "rows.csv").write_text("n\n1\n")
    publish(tmp_path / "rows.csv", workflow="w", run="r", team="team", results=str(tmp_path / "r"))
    stale = ExportStatus(
        export_id=_EXPORT_ID,
        workflow_id="w",
        run_id="r",
        format="csv",
        phase=Phase.RUNNING,
        nonce="job",
        written_at=datetime.now(UTC) - timedelta(seconds=STALE_SECONDS + 5),
    )
    key = f"w/{_EXPORT_ID}.ticket.json"
    services.exporter.exports.create(
        key, stale.model_dump_json().encode(), content_type="application/json", metadata={}
    )

    def state(jobs: ExportJobs, nonce: str) -> None:
        """The job of this process has written its end, and is forgotten, just before this question."""
        services.statuses.change(
            "w", _EXPORT_ID, lambda there: there.model_copy(update={"phase": Phase.FAILED, "code": "store_unavailable"})
        )

    monkeypatch.setattr(ExportJobs, "state", state)
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"x-api-key", b"a-key")],
        "path_params": {"workflow_id": "w", "export_id": _EXPORT_ID},
        "app": create_app_with(services),
        "state": {},
    }
    body: dict[str, Any] = json.loads(bytes(asyncio.run(status(Request(scope))).body))
    assert (body["phase"], body["code"]) == ("failed", "store_unavailable")
