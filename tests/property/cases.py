"""The number of generated cases, their seed, and a count of those that ran."""

import os
import random
import time
from collections.abc import Callable
from zlib import crc32

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("TAILRACE_CASES") or 2_000)
"""Cases of all properties together. A case is one request on a generated run. `make test` has 400."""
SEED = int(os.environ.get("TAILRACE_SEED") or 0)
"""The seed of the generator: that of the date in the long mode, fixed otherwise."""
LONG = "TAILRACE_SEED" in os.environ
TOLD: list[str] = []
"""The cases of this process, for the summary of the long mode."""


class Cases:
    """The cases of one property: its share of all cases, and the number that ran."""

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self.wanted = max(1, round(CASES * share))
        self.run = self.examples = 0

    def explore(self, property_: Callable[[random.Random], int], *, per_example: int) -> None:
        """Call a property with random sources until it has run its share; it returns its number of cases."""
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
