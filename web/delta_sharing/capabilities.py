"""The header ``delta-sharing-capabilities``: in which format a client wants an answer, and in which it gets one."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from web.delta_sharing.errors import Unsupported

HEADER = "delta-sharing-capabilities"
FILE_ID_HEADER = "fileidhash"
FORMATS = ("parquet", "delta")


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """``parquet`` or ``delta``, and the headers of the answer that say so."""

    name: str
    headers: Mapping[str, str]


def read_response_format(request: Request) -> ResponseFormat:
    """The format of the answer: ``parquet`` if the client takes it, since every table can be read so.

    Raises Unsupported if the client takes neither format, or wants ids of files made in an unknown way.
    """
    headers: dict[str, str] = {}
    file_ids = request.headers.get(FILE_ID_HEADER)
    if file_ids is not None:
        if file_ids.lower() not in FORMATS:
            raise Unsupported(f"{FILE_ID_HEADER} must be one of {', '.join(FORMATS)}.", parameter=FILE_ID_HEADER)
        headers[FILE_ID_HEADER] = file_ids.lower()
    accepted = _accepted(request.headers.getlist(HEADER))
    name = next((name for name in FORMATS if not accepted or name in accepted), None)
    if name is None:
        raise Unsupported(f"{HEADER}: responseformat must be one of {', '.join(FORMATS)}.", parameter=HEADER)
    if HEADER in request.headers:
        headers[HEADER] = f"responseformat={name}"
    return ResponseFormat(name, headers)


def _accepted(values: list[str]) -> set[str]:
    """The values of ``responseformat``, in lower case."""
    found: set[str] = set()
    for capability in ";".join(values).lower().split(";"):
        key, _, formats = capability.partition("=")
        if key.strip() == "responseformat":
            found |= {name.strip() for name in formats.split(",") if name.strip()}
    return found
