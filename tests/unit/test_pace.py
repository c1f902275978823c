"""A 404 takes whole steps from where the request was there, whatever the look before it took."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.auth import not_found_delay


@given(st.floats(0, 100))
def test_what_was_looked_for_and_the_rest_are_whole_steps(seconds: float) -> None:
    steps = (seconds + not_found_delay.remaining(seconds)) / not_found_delay.STEP_SECONDS
    assert steps == pytest.approx(round(steps))
    assert 0 < not_found_delay.remaining(seconds) <= not_found_delay.STEP_SECONDS


def test_the_pause_counts_from_where_the_request_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    now, paused = [100.0], []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("web.auth.not_found_delay.time.monotonic", lambda: now[0])
    monkeypatch.setattr("web.auth.not_found_delay.asyncio.sleep", pause)
    scope: dict[str, Any] = {}
    for there, looked in ((100.0, 100.003), (107.5, 107.5031)):
        now[0] = there
        not_found_delay.mark_start(scope)
        now[0] = looked
        asyncio.run(not_found_delay.delay_not_found(scope))
    assert paused == [pytest.approx(0.017), pytest.approx(0.0169)]


def test_without_a_caller_there_is_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.auth.not_found_delay.asyncio.sleep", None)
    asyncio.run(not_found_delay.delay_not_found({}))
