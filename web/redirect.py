"""Downloads that the store serves itself: a redirect to a short-lived URL of the one object."""

from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from engine.exports import ExportFile
from engine.stores.port import ReadHeaders, ReadUrls
from web.file_headers import CORS_HEADERS, GUARD_HEADERS, content_headers

LONGEST_REDIRECT = timedelta(minutes=5)
"""How long the store's URL is good at most. It counts when a download begins: one that runs may take longer."""


def redirect(urls: ReadUrls, file: ExportFile, until: datetime | None) -> Response:
    """302 to the file in the store; ``until`` is when the caller's own right ends, which no URL outlives.

    Neither conditions nor ranges are looked at: a client repeats them to the store, whose ETag it knows the file by.
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
