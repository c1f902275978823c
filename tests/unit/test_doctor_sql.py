"""What `tailrace doctor` says about callers' SQL: which fence is missing, and what to do."""

from typing import Literal

import pytest

from engine.query.sandbox.confinement import FILES_AND_HOSTS, SYSTEM_CALLS, Confinement
from web.cli.doctor.findings import Level
from web.cli.doctor.machine import check_sql
from web.settings import QuerySettings


@pytest.mark.parametrize(
    ("setting", "missing", "level"),
    [
        ("confined", (), Level.OK),
        ("confined", (FILES_AND_HOSTS,), Level.PROBLEM),
        ("confined", (FILES_AND_HOSTS, SYSTEM_CALLS), Level.PROBLEM),
        ("limited", (SYSTEM_CALLS,), Level.NOTE),
        ("limited", (FILES_AND_HOSTS, SYSTEM_CALLS), Level.NOTE),
        ("limited", (), Level.NOTE),
        ("off", (FILES_AND_HOSTS,), Level.OK),
    ],
)
def test_a_missing_fence_is_named(
    monkeypatch: pytest.MonkeyPatch,
    setting: Literal["confined", "limited", "off"],
    missing: tuple[str, ...],
    level: Level,
) -> None:
    monkeypatch.setattr("web.cli.doctor.machine.check_confinement", lambda: Confinement(missing))
    finding = check_sql(QuerySettings(user_sql=setting))
    assert finding.level is level
    if setting != "off":
        assert [fence for fence in (FILES_AND_HOSTS, SYSTEM_CALLS) if fence in finding.text] == list(missing)
    assert bool(finding.remedy) is (level is not Level.OK)


@pytest.mark.parametrize(
    ("setting", "missing", "level"),
    [("confined", (), Level.NOTE), ("limited", (SYSTEM_CALLS,), Level.NOTE), ("off", (), Level.OK)],
)
def test_statements_that_stay_root_are_noted(
    monkeypatch: pytest.MonkeyPatch,
    setting: Literal["confined", "limited", "off"],
    missing: tuple[str, ...],
    level: Level,
) -> None:
    monkeypatch.setattr("web.cli.doctor.machine.check_confinement", lambda: Confinement(missing, stays_root=True))
    finding = check_sql(QuerySettings(user_sql=setting))
    assert finding.level is level
    assert ("as root" in finding.text) is ("CAP_SETUID" in finding.text) is (setting != "off")
