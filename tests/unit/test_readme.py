"""What the README and the example settings say is what the code says."""

import re
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from engine.catalog.types import FAMILIES
from engine.request.operators import OPERATORS
from web.settings import SETTINGS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def _name(name: str, field: FieldInfo, settings: type[BaseSettings]) -> str:
    if isinstance(field.validation_alias, str):
        return field.validation_alias
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "number of cores"
    return "" if field.default in (None, "") else f"`{field.default}`"


SETTING_ROWS = {
    _name(name, field, settings): f"{_default(field)} | {field.description}"
    for settings in SETTINGS
    for name, field in settings.model_fields.items()
}


def _rows(section: str) -> list[str]:
    """The rows of a section's table whose first cell is a name of the code."""
    text = README.split(f"## {section}\n")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| `")]


def test_the_settings_table_is_the_code() -> None:
    assert _rows("Settings") == [f"| `{name}` | {rest} |" for name, rest in SETTING_ROWS.items()]


def test_the_example_settings_name_every_setting() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    assert re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE) == list(SETTING_ROWS)


def test_the_operators_table_is_the_code() -> None:
    wanted = [f"| `{row.name}` | {row.meaning} | {row.value.value} |" for row in OPERATORS.values()]
    assert _rows("The request") == wanted


def test_the_types_table_names_every_stored_type() -> None:
    assert [row.split("`")[1] for row in _rows("Types")] == list(FAMILIES)
