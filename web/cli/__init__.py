"""The ``tailrace`` command.

Exit codes: 0 done; 1 refused or failed, with the reason on standard error; 2 the command line was wrong; 130
interrupted.
"""

import sys
from collections.abc import Sequence

from web.cli.terminal.interrupts import INTERRUPTED, MESSAGE, ending_at_once, ignore_from_now_on


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process; errors are sentences, never stacks."""
    try:
        with ending_at_once():
            from web.cli.terminal.command_group import run
        try:
            run(arguments)
        finally:
            ignore_from_now_on()
    except KeyboardInterrupt:
        # Between two commands of ours: nothing has begun, or all is done.
        sys.stderr.write(f"{MESSAGE}\n")
        sys.exit(INTERRUPTED)
