"""The files of the container name settings and files that exist. No container engine is needed."""

import re
from pathlib import Path

import yaml

from web.environment import variable_of
from web.settings import SETTINGS

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / ".container" / "Dockerfile").read_text("utf-8")
KNOWN = {variable_of(kind, name) for kind in SETTINGS for name in kind.model_fields}


def test_the_image_has_a_health_check_and_a_user_other_than_root() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.findall(r"^USER (\d+)$", last, re.MULTILINE) == ["10001"]
    assert "HEALTHCHECK" in last
    assert "/healthz" in last


def test_files_that_are_copied_exist_and_are_not_ignored() -> None:
    allowed = (ROOT / ".dockerignore").read_text("utf-8").split()
    for names in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in names.split():
            assert (ROOT / name).exists()
            assert f"!{name}" in allowed


def test_settings_of_the_container_exist() -> None:
    assert set(re.findall(r"\b(TAILRACE_[A-Z_]+)=", DOCKERFILE)) <= KNOWN
    services = yaml.safe_load((ROOT / ".container" / "compose.yaml").read_text("utf-8"))["services"]
    assert set(services["tailrace"]["environment"]) <= KNOWN
    assert services["tailrace"]["depends_on"]["azurite"]["condition"] == "service_healthy"
    assert services["tailrace"]["ports"] == ["127.0.0.1:8000:8000"]
