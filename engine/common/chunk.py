"""The type of bytes that an encoder hands to a store."""

Chunk = bytes | memoryview
"""A memoryview keeps its whole buffer in memory."""
