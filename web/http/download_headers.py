"""The headers of a download, whoever serves it."""

from email.utils import format_datetime

from engine.exports.export import ExportFile

EXPOSED_HEADERS = (
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "Location",
    "Retry-After",
    "x-request-id",
)
"""What a page of another origin may read besides what every page may."""

CORS_HEADERS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": ", ".join(EXPOSED_HEADERS),
}
GUARD_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def own_etag(file: ExportFile) -> str:
    """The strong ETag of what we serve: the hash of the bytes, so that it is the same in every store."""
    return f'"{file.sha256}"'


def store_etag(file: ExportFile) -> str:
    """The strong ETag of the same file where the store serves it."""
    return f'"{file.info.etag}"'


def content_headers(file: ExportFile) -> dict[str, str]:
    """What the file is and what it is called; a store that serves it can be made to say this much as well."""
    # Ids need no quoting (their grammar sees to that), so both forms of the name are the same text.
    name = f"{file.info.key.partition('/')[0]}-{file.run_id}.{file.format.extension}"
    return {
        "content-type": file.format.content_type,
        "content-disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}",
        "cache-control": "private, no-cache",
    }


def version_headers(file: ExportFile, etag: str) -> dict[str, str]:
    """What goes with every answer about the file, with or without its bytes."""
    return {
        "etag": etag,
        "accept-ranges": "bytes",
        "cache-control": content_headers(file)["cache-control"],
        **CORS_HEADERS,
        **GUARD_HEADERS,
    }


def file_headers(file: ExportFile, etag: str) -> dict[str, str]:
    """All headers of the whole file."""
    return {
        **version_headers(file, etag),
        **content_headers(file),
        "content-length": str(file.info.size),
        "last-modified": format_datetime(file.info.modified, usegmt=True),
    }
