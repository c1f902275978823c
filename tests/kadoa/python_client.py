"""Calls read methods of the Kadoa SDK for Python, unmodified, in its own environment (``.venv-kadoa``).

``python python_client.py BASE_URL KEY`` reads a JSON array of ``[method, arguments]`` and prints an array of
``{"requests": [...], "result": ...}``, or ``"error"`` in place of the result. The method ``methods`` lists the others.
"""

import asyncio
import inspect
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

from kadoa_sdk import KadoaClient, KadoaClientConfig
from kadoa_sdk.client import client as client_module
from kadoa_sdk.core.http import get_workflows_api
from kadoa_sdk.extraction.extraction_acl import ListWorkflowsRequest
from kadoa_sdk.extraction.types import FetchDataOptions


class _Requests(logging.Handler):
    """The request lines that urllib3 logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith('%s://%s:%s "%s %s'):
            _, _, _, method, path, *_ = record.args or ()
            self.lines.append(f"{method} {path}")


def call(client: KadoaClient, method: str, arguments: dict[str, Any]) -> Any:
    """Call a method by its dotted name; ``api.`` is the generated client of the workflows."""
    if method == "methods":
        return sorted(_methods(client))
    room, _, name = method.partition(".")
    function = getattr(get_workflows_api(client) if room == "api" else getattr(client, room), name)
    match name:
        case "list":
            return function(ListWorkflowsRequest(**arguments)) if arguments else function()
        case "fetch_data" | "fetch_all_data":
            return function(FetchDataOptions(**arguments))
        case "fetch_data_pages":
            return asyncio.run(_collect(function(FetchDataOptions(**arguments))))
    return function(**arguments)


def _methods(client: KadoaClient) -> Iterator[str]:
    """The methods for workflows and their data, and those of the generated client that GET."""
    for room in ("workflow", "extraction"):
        public = (name for name in dir(getattr(client, room)) if not name.startswith("_"))
        yield from (f"{room}.{name}" for name in public if inspect.ismethod(getattr(getattr(client, room), name)))
    yield from (f"api.{name}" for name in dir(get_workflows_api(client)) if re.fullmatch("v[45]_.*_get", name))


async def _collect(pages: Any) -> list[Any]:
    return [page async for page in pages]


def plain(value: Any) -> Any:
    """A result as JSON has it."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


def main() -> None:
    base, key = sys.argv[1:]
    # It would ask the package index for a newer version of itself.
    client_module.check_for_updates = lambda: None
    seen = _Requests()
    logger = logging.getLogger("urllib3.connectionpool")
    logger.addHandler(seen)
    logger.setLevel(logging.DEBUG)
    client = KadoaClient(KadoaClientConfig(api_key=key, base_url=base))
    answers = []
    for method, arguments in json.load(sys.stdin):
        seen.lines = []
        try:
            outcome = {"result": plain(call(client, method, arguments))}
        except Exception as error:  # noqa: BLE001  # whatever a call raises is its outcome
            outcome = {"error": f"{type(error).__name__}: {error}"}
        answers.append({"requests": seen.lines, **outcome})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
