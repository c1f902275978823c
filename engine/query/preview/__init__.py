"""Read a run without exporting it: a page of its rows, or the profile of a column."""

from engine.query.preview.column_profile import Bin, ColumnProfile, TopValue, read_column
from engine.query.preview.page import MAX_PAGE_BYTES, Page, PageTooLarge, read_page

__all__ = ["MAX_PAGE_BYTES", "Bin", "ColumnProfile", "Page", "PageTooLarge", "TopValue", "read_column", "read_page"]
