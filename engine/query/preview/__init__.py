"""Looking at the rows of a run without making a file: a page of them, and the facts of a column."""

from engine.query.preview.column_profile import Bin, ColumnFacts, TopValue, read_column
from engine.query.preview.page import Page, read_page

__all__ = ["Bin", "ColumnFacts", "Page", "TopValue", "read_column", "read_page"]
