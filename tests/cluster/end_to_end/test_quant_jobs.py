"""Real input from publishing to download; without the real results these tests skip, as their own module says."""

from tests.e2e.test_quant_jobs import *  # noqa: F403  # its tests
