"""Data flows one way, web -> engine, and each outside library is known where it belongs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    "pyproject.toml",
    "engine",
    "web",
    "tests",
    "sql",
    "Makefile",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-ray.lock",
}


def _modules(package: str) -> Iterator[tuple[str, set[str]]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
        yield path.relative_to(ROOT).as_posix(), {name.partition(".")[0] for name in imported}


@pytest.mark.parametrize(("module", "imported"), [*_modules("engine")])
def test_the_engine_never_names_http(module: str, imported: set[str]) -> None:
    assert not imported & {"starlette", "uvicorn", "web", "click"}
    if not module.startswith("engine/stores/azure/"):
        assert "azure" not in imported


@pytest.mark.parametrize(("module", "imported"), [*_modules("web")])
def test_the_front_never_names_a_store_or_duckdb(module: str, imported: set[str]) -> None:
    assert not imported & {"azure", "duckdb", "pyarrow", "fsspec"}


def test_the_top_level_holds_what_it_should() -> None:
    seen = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert seen >= TOP_LEVEL
    assert {name for name in seen - TOP_LEVEL if not name.startswith("__")} == set()
