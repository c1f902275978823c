"""Bytes on their way from an encoder to a store."""

Chunk = bytes | memoryview
"""A view keeps alive the whole buffer that it looks into."""
