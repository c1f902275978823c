"""The clock of a store beside that of this machine: what counts as a difference, and how the time continues."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast

import pytest

from engine.errors import ClockSkew, StoreUnavailable
from engine.stores import clock
from engine.stores.clock import StoreClock, require_same_time, skew_of
from engine.stores.port import ObjectStore

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Machine:
    """A machine with a clock, and a store whose clock is ``ahead`` of it and that answers after ``seconds``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, ahead: float = 0, seconds: float = 0) -> None:
        self.wall, self.monotonic = NOON, 1000.0
        self.ahead, self.seconds = ahead, seconds
        self.checks = 0
        self.fails = False
        machine = self

        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return machine.wall

        monkeypatch.setattr(clock, "datetime", Clock)
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)

    @property
    def store(self) -> ObjectStore:
        return cast("ObjectStore", self)

    def wait(self, seconds: float) -> None:
        self.wall += seconds * SECOND
        self.monotonic += seconds

    def check(self) -> datetime:
        """The date of the response, which has no fraction of a second, in the middle of the request."""
        self.checks += 1
        if self.fails:
            raise StoreUnavailable("away")
        self.wait(self.seconds / 2)
        at = (self.wall + self.ahead * SECOND).replace(microsecond=0)
        self.wait(self.seconds / 2)
        return at


@pytest.mark.parametrize(
    ("ahead", "seconds", "skew"),
    [
        (0, 0, 0),
        (0, 30, 0),
        (0.9, 0, 0),
        (65, 0, 65),
        (-65, 0, -64),
        # What the length of the request can explain counts as no difference.
        (10, 20, 0),
        (-10, 20, 0),
        (65, 20, 55),
        (-65, 20, -54),
        (86_400, 0.5, 86_400),
    ],
)
def test_a_difference_is_what_the_request_cannot_explain(
    monkeypatch: pytest.MonkeyPatch, ahead: float, seconds: float, skew: float
) -> None:
    measured = skew_of(Machine(monkeypatch, ahead=ahead, seconds=seconds).store)
    assert abs(measured.total_seconds() - skew) < 1
    assert measured == timedelta() or abs(measured.total_seconds()) <= abs(ahead)


@pytest.mark.parametrize(("ahead", "direction"), [(60, None), (-61, None), (62, "behind"), (-63, "ahead of")])
def test_more_than_a_minute_is_refused_in_both_directions(
    monkeypatch: pytest.MonkeyPatch, ahead: float, direction: str | None
) -> None:
    machine = Machine(monkeypatch, ahead=ahead)
    if direction is None:
        assert abs(require_same_time(machine.store, "exports")) <= timedelta(seconds=60)
        return
    with pytest.raises(ClockSkew) as caught:
        require_same_time(machine.store, "exports")
    said = f"This machine's clock is 62 seconds {direction} that of the exports store"
    assert caught.value.message == f"{said}: correct the one that is wrong (NTP)."
    assert caught.value.details == {"seconds": 62}


def test_the_time_of_a_store_continues_without_requests_and_whatever_the_clock_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, ahead=300)
    store_clock = StoreClock(machine.store)
    assert store_clock.now() == NOON + 300 * SECOND
    machine.wait(59)
    machine.wall -= timedelta(days=1)
    assert store_clock.now() == NOON + 359 * SECOND
    assert machine.checks == 1
    # A minute later it is measured again.
    machine.wall += timedelta(days=1)
    machine.wait(2)
    assert store_clock.now() == NOON + 361 * SECOND
    assert machine.checks == 2


def test_the_time_of_a_store_that_does_not_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.fails = True
    store_clock = StoreClock(machine.store)
    with pytest.raises(StoreUnavailable):
        store_clock.now()
    machine.fails = False
    assert store_clock.now() == NOON
