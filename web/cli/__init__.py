"""The ``tailrace`` command.

Exit codes: 0 success; 1 failure, with the reason on standard error; 2 usage error; 130 interrupted.
"""

import gc
import sys
from collections.abc import Sequence

from web.cli.terminal.interrupts import INTERRUPTED, MESSAGE, ending_at_once, ignore_from_now_on, interruptible


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; errors are printed as sentences, without a traceback."""
    # Nothing that is imported becomes garbage, and looking for it takes a tenth of the time.
    gc.disable()
    try:
        with ending_at_once():
            from web.cli.terminal.command_group import run
        try:
            with interruptible():
                run(arguments)
        finally:
            ignore_from_now_on()
    except KeyboardInterrupt:
        # Outside of a command: nothing has started, or everything is done.
        sys.stderr.write(f"{MESSAGE}\n")
        sys.exit(INTERRUPTED)
