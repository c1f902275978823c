"""Which kinds of store a test runs on, if not on each."""

import pytest

any_store = pytest.mark.parametrize("store_kind", ["directory"], indirect=True)
"""Marks a test whose promise is kept above the store's port: it runs on the directory alone."""

on_azure = pytest.mark.parametrize("store_kind", [pytest.param("azure", marks=pytest.mark.azurite)], indirect=True)
"""Marks a test of what only blobs have."""
