"""Calls operations by a client that openapi-python-client has generated, in an environment of its own.

``python python_client.py FOLDER BASE_URL KEY`` imports ``generated_client`` from the folder, reads a JSON array of
calls, each ``[operation, arguments, body]``, and prints an array of ``{"status", "headers", "data", "text"}``; the last
are the parsed and the raw body.
"""

import importlib
import inspect
import json
import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, sys.argv[1])
from generated_client import AuthenticatedClient
from generated_client.types import File


def call(client: AuthenticatedClient, operation: str, arguments: dict[str, Any], body: Any) -> dict[str, Any]:
    """Call the function of an operation; a path as the body is a file to send."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()
    function = importlib.import_module(f"generated_client.api.default.{name}").sync_detailed
    # The function's parameters are the document's, in another spelling: `format_`, `workflow_id`, `if_none_match`.
    names = {_plain(name): name for name in inspect.signature(function).parameters}
    given = {names[_plain(name)]: value for name, value in arguments.items()}
    if isinstance(body, str):
        given["body"] = File(payload=BytesIO(Path(body).read_bytes()))
    elif body is not None:
        given["body"] = _model_of(function).from_dict(body)
    answer = function(client=client, **given)
    parsed = answer.parsed
    return {
        "status": answer.status_code,
        "headers": dict(answer.headers),
        "data": parsed.to_dict() if hasattr(parsed, "to_dict") else None,
        "text": answer.content.decode("utf-8", "replace"),
    }


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _model_of(function: Any) -> Any:
    """The class of an operation's body."""
    body = function.__annotations__["body"]
    (model,) = (kind for kind in get_args(body) or [body] if hasattr(kind, "from_dict"))
    return model


def main() -> None:
    _, base, key = sys.argv[1:]
    with AuthenticatedClient(
        base, key, prefix="", auth_header_name="x-api-key", raise_on_unexpected_status=True
    ) as client:
        json.dump([call(client, *one) for one in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
