"""The headers of a download, whether the service or the store sends the file."""

from base64 import b64encode
from email.utils import format_datetime

from engine.exports.export import ExportFile

EXPOSED_HEADERS = (
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "Repr-Digest",
    "Location",
    "Retry-After",
    "x-request-id",
)
"""Response headers that pages of other origins may read, beyond those that CORS always allows."""

CORS_HEADERS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": ", ".join(EXPOSED_HEADERS),
}
SECURITY_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def own_etag(file: ExportFile) -> str:
    """Return the strong ETag of a file that the service sends: the hash of its bytes, the same in every store."""
    return f'"{file.sha256 or file.crc64nvme}"'


def store_etag(file: ExportFile) -> str:
    """Return the strong ETag of a file that the store sends."""
    return f'"{file.info.etag}"'


def content_headers(file: ExportFile) -> dict[str, str]:
    """Return the type, name and caching of a file; a store that sends it can be made to send these, too."""
    # The grammar of ids allows no character that needs quoting, so both forms of the name are the same text.
    name = file.file_name
    return {
        "content-type": file.content_type,
        "content-disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}",
        "cache-control": "private, no-cache",
    }


def version_headers(file: ExportFile, etag: str) -> dict[str, str]:
    """Return the headers of every response about the file, with or without its bytes."""
    digest = {}
    if file.sha256 is not None:
        # RFC 9530: of the whole file, also in an answer with a range of it. It has no name for CRC-64.
        digest["repr-digest"] = f"sha-256=:{b64encode(bytes.fromhex(file.sha256)).decode()}:"
    return {
        "etag": etag,
        **digest,
        "accept-ranges": "bytes",
        "cache-control": content_headers(file)["cache-control"],
        **CORS_HEADERS,
        **SECURITY_HEADERS,
    }


def file_headers(file: ExportFile, etag: str) -> dict[str, str]:
    """Return the headers of a response with the whole file."""
    return {
        **version_headers(file, etag),
        **content_headers(file),
        "content-length": str(file.info.size),
        "last-modified": format_datetime(file.info.modified, usegmt=True),
    }
