"""The memory that `tailrace doctor` counts, and the limits of control groups that it compares it with."""

from pathlib import Path

import pytest

from engine.settings import DuckDBSettings
from web.cli.doctor.findings import Level
from web.cli.doctor.memory import available_memory, check_memory
from web.settings import AdmissionSettings, PublishSettings, QuerySettings

_GB = 1_000_000_000


@pytest.mark.parametrize(("available", "level"), [(2_700_000_000, Level.OK), (2_699_999_999, Level.PROBLEM)])
def test_everything_that_may_run_at_the_same_time_counts(
    monkeypatch: pytest.MonkeyPatch, available: int, level: Level
) -> None:
    monkeypatch.setattr("web.cli.doctor.memory.available_memory", lambda: available)
    finding = check_memory(
        DuckDBSettings(memory_limit="256MB", threads=2),
        AdmissionSettings(max_concurrent_exports=3),
        PublishSettings(max_concurrent_publishes=1),
        QuerySettings(max_concurrent_queries=4, query_memory_limit="249MB"),
    )
    # 200 MB, 4 x (256 + 50) MB, 4 x (249 + 50 + 2 x 10) MB
    assert finding.level is level
    assert "2.7 GB: 200 MB, 4 exports and publishes of 306 MB, 4 queries of 319 MB" in finding.text


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("of_process", "limits", "wanted"),
    [
        # Version 2: the smallest on the way to the root counts.
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": f"{_GB}", "memory.max": f"{2 * _GB}"}, _GB),
        ("0::/a/b\n", {"a/b/memory.max": f"{_GB}", "a/memory.max": "max"}, _GB),
        # In a container, the group of the process is the root that it sees.
        ("0::/\n", {"memory.max": f"{_GB}"}, _GB),
        ("0::/system.slice/docker-1.scope\n", {"memory.max": f"{_GB}"}, _GB),
        ("0::/../..\n", {"memory.max": f"{_GB}"}, _GB),
        # Version 1, alone and beside version 2.
        ("4:memory:/docker/1\n", {"memory/docker/1/memory.limit_in_bytes": f"{_GB}\n"}, _GB),
        ("4:memory:/docker/1\n", {"memory/memory.limit_in_bytes": f"{_GB}\n"}, _GB),
        (
            "5:cpu,memory:/a\n0::/\n",
            {"memory/a/memory.limit_in_bytes": f"{_GB}", "memory/memory.limit_in_bytes": "9223372036854771712"},
            _GB,
        ),
        ("5:cpu:/a\n", {"cpu/a/memory.limit_in_bytes": "1"}, None),
        ("0::/a\n", {"a/memory.max": "max"}, None),
        (None, {}, None),
    ],
)
def test_limits_of_control_groups_are_found(
    tmp_path: Path, of_process: str | None, limits: dict[str, str], wanted: int | None
) -> None:
    if of_process is not None:
        write(tmp_path / "self", of_process)
    (tmp_path / "cgroup").mkdir()
    for name, text in limits.items():
        write(tmp_path / "cgroup" / name, text)
    whole = available_memory(tmp_path / "none", tmp_path / "none")
    assert whole > _GB, "the machine of the tests"
    assert available_memory(tmp_path / "cgroup", tmp_path / "self") == (whole if wanted is None else wanted)
