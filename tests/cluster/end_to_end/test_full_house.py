"""More exports than the service takes on, and callers who do not wait for theirs."""

from tests.e2e.test_full_house import *  # noqa: F403  # its tests
