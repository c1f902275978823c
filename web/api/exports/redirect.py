"""Downloads from the store: a redirect to a short-lived URL of the file."""

import re
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from engine.exports.export import ExportFile
from engine.stores.clock import StoreClock
from engine.stores.port import ReadHeaders, ReadUrls
from web.http.download_headers import CORS_HEADERS, SECURITY_HEADERS, content_headers, own_etag, store_etag
from web.http.preconditions import one_value

MAX_REDIRECT_LIFETIME = timedelta(minutes=5)
"""How long the URL of the store is valid at most. A download that began before may finish."""

_AZURE_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{0,19})", re.ASCII)


def store_can_answer(request: Request, file: ExportFile) -> bool:
    """Return whether Azure answers the same request correctly: it supports neither suffix ranges nor If-Range."""
    requested, version = (one_value(request.headers, name) for name in ("range", "if-range"))
    if request.method != "GET" or requested is None:
        return True
    found = _AZURE_RANGE.fullmatch(requested)
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        return False
    # Both ETags are of these bytes, so the range applies; with another one, the whole file is requested.
    return version in (None, own_etag(file), store_etag(file))


def redirect(urls: ReadUrls, file: ExportFile, expires: datetime | None, clock: StoreClock) -> Response:
    """Redirect to the file in the store by a URL that expires no later than ``expires``, the caller's own signature.

    The store checks the URL by its own ``clock``. Preconditions are left to the store, whose ETag the client knows: it
    repeats them after the redirect. Raises StoreUnavailable if the store's time is needed, or it has to sign the URL,
    and it fails.
    """
    latest = clock.now() + MAX_REDIRECT_LIFETIME
    content = content_headers(file)
    url = urls.read_url(
        file.info.key,
        expires=latest if expires is None else min(latest, expires),
        headers=ReadHeaders(
            content_type=content["content-type"],
            content_disposition=content["content-disposition"],
            cache_control=content["cache-control"],
        ),
    )
    # Not cacheable: each request of the signed URL gets a new redirect.
    return Response(
        status_code=302, headers={"location": url, **CORS_HEADERS, **SECURITY_HEADERS, "cache-control": "no-store"}
    )
