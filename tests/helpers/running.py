"""An export that is under way while a test does something to it."""

import threading
import time
from collections.abc import Callable

from engine.common.cancellation import CancelToken
from engine.errors import EngineError
from engine.plan.planner import ExportPlan
from tests.helpers.spread import Spread


class Running:
    """An export in a thread of its own."""

    def __init__(self, spread: Spread, plan: ExportPlan) -> None:
        self.cancel = CancelToken()
        self.error: BaseException | None = None
        self._spread, self._plan = spread, plan
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._spread.exporter.export(self._plan, self.cancel)
        except EngineError as error:
            self.error = error

    @property
    def alive(self) -> bool:
        """Whether it has not come to its end yet."""
        return self._thread.is_alive()

    def end(self, seconds: float = 120) -> None:
        """Wait for its end."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the export hangs"


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)
