"""Dedicated thread limiters, so that threads that hang cannot starve other work. Exports and queries have others."""

import anyio

CHECKS = anyio.CapacityLimiter(8)
"""For checking credentials and parsing bodies. Accesses to stores, which may hang, never use these threads."""

DOWNLOADS = anyio.CapacityLimiter(40)
"""For reading the chunks of downloads, one thread per chunk."""
