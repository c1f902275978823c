"""Downloads that the store serves itself: a redirect to a short-lived URL of the one object."""

import re
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from engine.exports.export import ExportFile
from engine.stores.port import ReadHeaders, ReadUrls
from web.http.download_headers import CORS_HEADERS, GUARD_HEADERS, content_headers, own_etag, store_etag
from web.http.preconditions import one_value

LONGEST_REDIRECT = timedelta(minutes=5)
"""How long the store's URL is good at most. It counts when a download begins: one that runs may take longer."""


_RANGE_OF_AZURE = re.compile(r"bytes=(\d{1,19})-(\d{0,19})", re.ASCII)


def store_can_answer(request: Request, file: ExportFile) -> bool:
    """Whether the store, asked the same, answers rightly: Azure knows neither ranges from the end nor If-Range."""
    wanted, version = (one_value(request.headers, name) for name in ("range", "if-range"))
    if request.method != "GET" or wanted is None:
        return True
    found = _RANGE_OF_AZURE.fullmatch(wanted)
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        return False
    # Either tag names these bytes, so the range is right; another one asks for the whole.
    return version in (None, own_etag(file), store_etag(file))


def redirect(urls: ReadUrls, file: ExportFile, until: datetime | None) -> Response:
    """302 to the file in the store; ``until`` is when the caller's own right ends, which no URL outlives.

    Conditions are not looked at: a client repeats them to the store, whose ETag it knows the file by.
    Raises StoreUnavailable if the store has to sign and does not.
    """
    latest = datetime.now(UTC) + LONGEST_REDIRECT
    content = content_headers(file)
    url = urls.read_url(
        file.info.key,
        expires=latest if until is None else min(latest, until),
        headers=ReadHeaders(
            content_type=content["content-type"],
            content_disposition=content["content-disposition"],
            cache_control=content["cache-control"],
        ),
    )
    # Nobody may keep it: whoever comes back with our URL gets a new one.
    return Response(
        status_code=302, headers={"location": url, **CORS_HEADERS, **GUARD_HEADERS, "cache-control": "no-store"}
    )
