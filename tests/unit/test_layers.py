"""Layers: modules import only from their own layer and those below, and third-party libraries only where allowed."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

LAYERS = {
    "web": (
        "web.cli",
        "web.app",
        "web.mcp",
        "web.pages",
        "web.openapi",
        "web.delta_sharing",
        "web.api",
        "web.container",
        "web.jobs",
        "web.auth",
        "web.http",
        "web.telemetry",
        "web.environment",
        "web.settings",
    ),
    "engine": (
        "engine.python_api",
        "engine.bootstrap",
        "engine.query",
        "engine.publishing",
        "engine.exports",
        "engine.runners",
        "engine.execute",
        "engine.sql",
        "engine.plan",
        "engine.request",
        "engine.parquet",
        "engine.catalog",
        "engine.stores",
        "engine.common",
        "engine.settings",
        "engine.errors",
    ),
}
"""Packages and top modules, from the top layer down. All of `web` is above all of `engine`."""

LIBRARIES = {
    "starlette": ("web/",),
    "uvicorn": ("web/",),
    "click": ("web/cli/", "web/mcp/"),
    "azure": ("engine/stores/azure/",),
    "duckdb": ("engine/",),
    "pyarrow": ("engine/",),
    "zlib_ng": ("engine/execute/",),
    "awscrt": ("engine/stores/azure/",),
    "fsspec": ("engine/execute/", "engine/runners/"),
    "ray": ("engine/runners/ray/",),
}
"""Where each library may be imported."""

MAX_TOP_MODULES = 8
MAX_ROOM_MODULES = 14

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


def _modules() -> Iterator[tuple[str, str]]:
    for package in LAYERS:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT)
            yield relative.as_posix(), ".".join(relative.with_suffix("").parts).removesuffix(".__init__")


def _imports(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _layer(module: str) -> int | None:
    """Return the number of a module's layer, from the top; None for the ``__init__`` of `web` or `engine`."""
    order = [layer for layers in LAYERS.values() for layer in layers]
    return next((number for number, layer in enumerate(order) if f"{module}.".startswith(f"{layer}.")), None)


def test_every_module_belongs_to_a_layer() -> None:
    assert [path for path, module in _modules() if _layer(module) is None and module not in LAYERS] == []


def test_imports_go_down() -> None:
    upward = [
        f"{path} imports {imported}"
        for path, module in _modules()
        for imported in _imports(path)
        if (place := _layer(module)) is not None and (target := _layer(imported)) is not None and target < place
    ]
    assert upward == []


def test_each_library_is_used_where_it_belongs() -> None:
    strays = [
        f"{path} imports {imported}"
        for path, _ in _modules()
        for imported in _imports(path)
        if not path.startswith(LIBRARIES.get(imported.partition(".")[0], ("",)))
    ]
    assert strays == []


def test_rooms_are_small() -> None:
    modules = [Path(path) for path, _ in _modules() if not path.endswith("__init__.py")]
    sizes = {room: sum(path.parent == room for path in modules) for room in {path.parent for path in modules}}
    crowded = {
        str(room): size
        for room, size in sizes.items()
        if size > (MAX_TOP_MODULES if str(room) in LAYERS else MAX_ROOM_MODULES)
    }
    assert crowded == {}


def test_the_top_level_is_fixed() -> None:
    seen = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__"))}
    assert seen == TOP_LEVEL
