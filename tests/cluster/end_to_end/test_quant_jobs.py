"""Real input from publishing to download."""

import pytest

from tests.e2e import test_quant_jobs
from tests.e2e.test_quant_jobs import *  # noqa: F403  # its tests

pytestmark = [test_quant_jobs.pytestmark, pytest.mark.long]
