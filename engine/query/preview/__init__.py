"""Read a run without exporting it: a page of its rows, or the profile of a column."""

from engine.query.preview.column_profile import Bin, ColumnProfile, TopValue, read_column
from engine.query.preview.page import Page, read_page

__all__ = ["Bin", "ColumnProfile", "Page", "TopValue", "read_column", "read_page"]
