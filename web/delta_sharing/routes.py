"""The routes of the protocol."""

from web.delta_sharing.errors import Endpoint, answering
from web.delta_sharing.listings import schemas, share, shares, tables
from web.delta_sharing.tables import changes, metadata, query, version

PREFIX = "/delta-sharing"
_SHARE = f"{PREFIX}/shares/{{share}}"
_TABLES = f"{_SHARE}/schemas/{{schema}}/tables"
_TABLE = f"{_TABLES}/{{table}}"

ROUTES: tuple[tuple[str, Endpoint], ...] = (
    (f"{PREFIX}/shares", answering(shares, "GET")),
    (_SHARE, answering(share, "GET")),
    (f"{_SHARE}/schemas", answering(schemas, "GET")),
    (f"{_SHARE}/all-tables", answering(tables, "GET")),
    (_TABLES, answering(tables, "GET")),
    (_TABLE, answering(version, "HEAD")),
    (f"{_TABLE}/version", answering(version, "GET")),
    (f"{_TABLE}/metadata", answering(metadata, "GET")),
    (f"{_TABLE}/query", answering(query, "POST")),
    (f"{_TABLE}/changes", answering(changes, "GET")),
)
