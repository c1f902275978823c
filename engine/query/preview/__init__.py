"""Read a run without exporting it: a page of its rows, the profile of a column, or what changed since another run."""

from engine.query.preview.column_profile import Bin, ColumnProfile, TopValue, read_column
from engine.query.preview.differences import MAX_DIFFERENCES, MAX_DIFFERENCES_LENGTH, RowDifference, read_differences
from engine.query.preview.page import MAX_PAGE_BYTES, Page, PageTooLarge, read_page

__all__ = [
    "MAX_DIFFERENCES",
    "MAX_DIFFERENCES_LENGTH",
    "MAX_PAGE_BYTES",
    "Bin",
    "ColumnProfile",
    "Page",
    "PageTooLarge",
    "RowDifference",
    "TopValue",
    "read_column",
    "read_differences",
    "read_page",
]
