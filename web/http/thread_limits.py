"""Threads of their own for what may hang, and for what must not wait for it. Exports and queries have theirs, too."""

import anyio

CHECKS = anyio.CapacityLimiter(8)
"""Of credentials and bodies: looks at stores that hang take none of these."""

DOWNLOADS = anyio.CapacityLimiter(40)
"""One for each chunk that is read."""
