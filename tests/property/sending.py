"""How a generated request reaches the service: as the body of a POST, or as a URL in one of its spellings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

_BLANKS = " \t\r\n"


@dataclass(frozen=True)
class Sending:
    """``body``, ``url`` with lists as JSON arrays, or ``commas``, a URL with ``blank`` around the entries of lists."""

    form: str = "body"
    blank: str = ""

    def query(self, parameters: Mapping[str, Any]) -> bytes:
        """The query of a URL with these parameters; lists that commas cannot carry are JSON arrays."""
        encode = quote if self.blank else quote_plus
        return "&".join(f"{name}={encode(self._text(name, value))}" for name, value in parameters.items()).encode()

    def _text(self, name: str, value: Any) -> str:
        if isinstance(value, list) and name != "filters" and self.form == "commas" and all(map(_is_plain, value)):
            return ",".join(f"{self.blank}{entry}{self.blank}" for entry in value)
        return value if isinstance(value, str) else spell(value)


def _is_plain(entry: str) -> bool:
    return "," not in entry and not entry.startswith("[") and entry == entry.strip(_BLANKS)


def spell(value: Any) -> str:
    """Write JSON with exact numbers."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{spell(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(spell, value))}]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
