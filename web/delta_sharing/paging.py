"""Pages of a listing: ``maxResults`` entries after the one that ``pageToken`` names."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from engine.common.ids import is_id
from engine.errors import InvalidRequest
from web.delta_sharing.parameters import MAX_INT32, read_integer, read_text

MAX_RESULTS = 500
"""Entries of a page at most, also without ``maxResults``."""

_EntryT = TypeVar("_EntryT")


@dataclass(frozen=True, slots=True)
class Page(Generic[_EntryT]):
    """Entries, and the token of the next page; None if there is none."""

    entries: list[_EntryT]
    next_token: str | None


def read_page(
    values: Mapping[str, object], entries_after: Callable[[str], Iterable[tuple[str, _EntryT]]]
) -> Page[_EntryT]:
    """The requested page of entries. ``entries_after`` returns those with greater ids, in their order.

    No more of them are taken than the page has, and one. Raises InvalidRequest.
    """
    wanted = read_integer(values, "maxResults", MAX_INT32)
    size = MAX_RESULTS if wanted is None else min(wanted, MAX_RESULTS)
    after = _id_in(read_text(values, "pageToken"))
    found = list(islice(entries_after(after), size + 1))
    page = found[:size]
    last = page[-1][0] if page else after
    return Page([entry for _, entry in page], _token_of(last) if len(found) > size else None)


def _token_of(id_: str) -> str:
    # The first page has no entry before it.
    return base64.urlsafe_b64encode(f"after:{id_}".encode()).decode()


def _id_in(token: str | None) -> str:
    """The id in a token; empty without one. Raises InvalidRequest."""
    if not token:
        return ""
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    word, _, id_ = text.partition(":")
    if word != "after" or (id_ and not is_id(id_)):
        raise InvalidRequest(
            "pageToken must be the nextPageToken of an answer to the same request.", parameter="pageToken"
        )
    return id_
