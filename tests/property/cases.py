"""How many cases run, from which seed, and the count that shows that they did."""

import os
import random
import time
from collections.abc import Callable
from zlib import crc32

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

_ASKED = os.environ.get("TAILRACE_CASES")
CASES = int(_ASKED or 2_000)
"""Cases of all properties together; a case is one request on a generated run. 50,000 are for the long mode."""
LONG = _ASKED is not None
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(time.time_ns())
SEED = int(os.environ.get("TAILRACE_SEED") or (crc32(_RUN.encode()) if LONG else 0))
"""What the generator begins with: another one in each long run, the same in each short one."""
TOLD: list[str] = []
"""What was run in this process, for the summary of the long mode."""


class Cases:
    """The cases of one property: its share of all, and how many were run."""

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self.wanted = max(1, round(CASES * share))
        self.run = self.examples = 0

    def explore(self, property_: Callable[[random.Random], int], *, per_example: int) -> None:
        """Give sources of chance to a property, which tells how many cases it made of each, until the share is run."""
        started = time.monotonic()

        def counted(number: int) -> None:
            self.examples += 1
            try:
                self.run += property_(random.Random(f"{self.name}/{number}"))
            except BaseException as error:
                error.add_note(f"{self.name}/{number}, TAILRACE_SEED={SEED}, TAILRACE_CASES={CASES}")
                raise

        # One draw for each example: of several, Hypothesis makes others by copying, and most would be alike.
        explored = given(st.integers(0, 2**64))(counted)
        explored = seed(SEED + crc32(self.name.encode()))(explored)
        settings(
            max_examples=-(-self.wanted // per_example),
            database=None,
            phases=(Phase.generate,),
        )(explored)()
        assert self.run >= self.wanted, f"{self.run} cases were run, {self.wanted} were wanted"
        took = time.monotonic() - started
        TOLD.append(f"{self.name}: {self.run} cases on {self.examples} runs, TAILRACE_SEED={SEED}, {took:.0f} s")
