"""Settings that were renamed: old names work for one release, and names that nothing reads are reported."""

import pytest

from engine.settings import RunnerSettings
from web.environment import DeprecatedVariable, UnknownVariable, deprecated_variables, unknown_variables
from web.settings import AdmissionSettings, QuerySettings, SigningSettings

RENAMED = (
    (
        AdmissionSettings,
        "max_concurrent_exports",
        "EXPORTS_AT_ONCE",
        "MAX_CONCURRENT_EXPORTS",
        "5",
        "6",
    ),
    (AdmissionSettings, "export_queue_size", "QUEUE_LENGTH", "EXPORT_QUEUE_SIZE", "5", "6"),
    (
        AdmissionSettings,
        "export_timeout_seconds",
        "DEADLINE_SECONDS",
        "EXPORT_TIMEOUT_SECONDS",
        "5",
        "6",
    ),
    (
        AdmissionSettings,
        "queue_timeout_seconds",
        "DEADLINE_SECONDS",
        "QUEUE_TIMEOUT_SECONDS",
        "5",
        "6",
    ),
    (
        AdmissionSettings,
        "shutdown_grace_seconds",
        "GRACE_SECONDS",
        "SHUTDOWN_GRACE_SECONDS",
        "5",
        "6",
    ),
    (QuerySettings, "max_concurrent_queries", "QUERIES_AT_ONCE", "MAX_CONCURRENT_QUERIES", "5", "6"),
    (QuerySettings, "query_timeout_seconds", "QUERY_SECONDS", "QUERY_TIMEOUT_SECONDS", "5", "6"),
    (QuerySettings, "user_sql", "SQL", "USER_SQL", "limited", "off"),
    (SigningSettings, "download_mode", "DOWNLOADS", "DOWNLOAD_MODE", "redirect", "stream"),
    (RunnerSettings, "ray_max_tasks", "RUNNER_TASKS_AT_ONCE", "RAY_MAX_TASKS", "5", "6"),
)


@pytest.mark.parametrize(("settings", "field", "old", "new", "old_value", "new_value"), RENAMED)
def test_an_old_name_works_until_the_new_one_is_set(
    settings: type[AdmissionSettings | QuerySettings | SigningSettings | RunnerSettings],
    field: str,
    old: str,
    new: str,
    old_value: str,
    new_value: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = f"TAILRACE_{old}", f"TAILRACE_{new}"
    monkeypatch.setenv(old, old_value)
    assert str(getattr(settings(), field)) == old_value
    monkeypatch.setenv(new, "")
    assert str(getattr(settings(), field)) == old_value
    monkeypatch.setenv(new, new_value)
    assert str(getattr(settings(), field)) == new_value
    monkeypatch.delenv(old)
    assert str(getattr(settings(), field)) == new_value


def test_each_old_name_is_reported_once_with_the_names_that_replace_it() -> None:
    replacements: dict[str, tuple[str, ...]] = {}
    for _, _, old, new, _, _ in RENAMED:
        replacements[f"TAILRACE_{old}"] = (*replacements.get(f"TAILRACE_{old}", ()), f"TAILRACE_{new}")
    environment = dict.fromkeys((*replacements, "PATH", "TAILRACE_THREADS"), "2")
    assert deprecated_variables(environment) == [
        DeprecatedVariable(old, new) for old, new in sorted(replacements.items())
    ]
    assert deprecated_variables({"TAILRACE_SQL": ""}) == []


def test_unknown_names_are_reported_with_the_nearest_setting() -> None:
    environment = {
        "TAILRACE_MAX_CONCURENT_EXPORTS": "2",
        "TAILRACE_RUNNER_SORT_READS": "4",
        "TAILRACE_THREADS": "2",
        "TAILRACE_SQL": "off",
        "TAILRACE_URL": "http://127.0.0.1:8000",
        "TAIL": "5",
    }
    assert unknown_variables(environment) == [
        UnknownVariable("TAILRACE_MAX_CONCURENT_EXPORTS", "TAILRACE_MAX_CONCURRENT_EXPORTS"),
        UnknownVariable("TAILRACE_RUNNER_SORT_READS", None),
    ]
