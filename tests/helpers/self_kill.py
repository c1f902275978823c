"""For scripts of tests that run as a process of their own and have to die at a certain call."""

import os
import signal
from collections.abc import Callable
from typing import Any


class SelfKill:
    """Kills this process before the n-th call of all the functions that it wraps."""

    def __init__(self, call: int) -> None:
        self._left = call

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose calls count."""

        def counted(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return counted
