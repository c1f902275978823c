"""Seeded sample runs: products of a made-up shop with every field type a publisher can declare, and a month before."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

ROWS = 50_000
SEED = 7

SCHEMA: dict[str, object] = {
    "fields": [
        {"name": "sku", "dataType": "STRING"},
        {"name": "title", "dataType": "STRING"},
        {"name": "productUrl", "dataType": "LINK"},
        {"name": "photo", "dataType": "IMAGE"},
        {"name": "rating", "dataType": "NUMBER"},
        {"name": "inStock", "dataType": "BOOLEAN"},
        {"name": "listedOn", "dataType": "DATE"},
        {"name": "scrapedAt", "dataType": "DATETIME"},
        {"name": "price", "dataType": "MONEY"},
        {
            "name": "size",
            "dataType": "OBJECT",
            "fields": [{"name": "width", "dataType": "NUMBER"}, {"name": "height", "dataType": "NUMBER"}],
        },
        {"name": "tags", "dataType": "ARRAY", "items": {"dataType": "STRING"}},
    ]
}

_THINGS = ("Lamp", "Chair", "Café table", "Rug 2x3 m", 'Shelf 12"', "Mug, large", "Klämma", "急須", "Desk\nfoldable")
_STYLES = ("oak", "walnut", "steel", "linen", "blue", "grün", "rosé", "smoked")
_TAGS = ("new", "sale", "eco", "last-chance", "50% off", "bulk_only")
_CURRENCIES = ("EUR", "USD", "JPY", "CHF")
_FIRST_DAY = date(2025, 1, 1)


def write_sample(folder: Path, rows: int = ROWS, seed: int = SEED) -> tuple[Path, Path]:
    """Write the sample's rows and schema into a folder; the same bytes for the same seed. Returns both paths."""
    return _write(folder, "products", _rows(rows, random.Random(seed)))  # noqa: S311  # a sample, not a secret


def write_earlier_sample(folder: Path, rows: int = ROWS, seed: int = SEED) -> tuple[Path, Path]:
    """The same for the run before: 1 % of the products are added after it, 5 % get another price, and 0.5 % go."""
    return _write(folder, "products-earlier", _earlier(_rows(rows, random.Random(seed))))  # noqa: S311  # as above


def _write(folder: Path, name: str, rows: Iterator[dict[str, object]]) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    data, schema = folder / f"{name}.ndjson", folder / "products.schema.json"
    with data.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    schema.write_text(json.dumps(SCHEMA, indent=2) + "\n", "utf-8")
    return data, schema


def _earlier(rows: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    for number, row in enumerate(rows):
        if number % 20 == 3:
            row["price"] = {"amount": 100 + number, "currencyCode": "EUR"}
        if number % 100 != 7:
            yield row
        if number % 200 == 11:
            yield {**row, "sku": f"{row['sku']}-B"}


def _rows(count: int, chance: random.Random) -> Iterator[dict[str, object]]:
    for number in range(count):
        sku = f"SKU-{number:06d}"
        scraped = datetime(2026, 11, 1, 6, tzinfo=UTC) + timedelta(milliseconds=137 * number)
        yield {
            "sku": sku,
            "title": f"{chance.choice(_THINGS)} {chance.choice(_STYLES)}",
            "productUrl": f"https://shop.example/p/{sku.lower()}",
            "photo": f"https://img.example/{sku}.webp" if chance.random() < 0.9 else None,
            "rating": round(chance.uniform(1, 5), 1) if chance.random() < 0.7 else None,
            "inStock": chance.random() < 0.8,
            "listedOn": (_FIRST_DAY + timedelta(days=number * 600 // count)).isoformat(),
            "scrapedAt": scraped.isoformat().replace("+00:00", "Z"),
            "price": {"amount": chance.randrange(100, 500_000), "currencyCode": chance.choice(_CURRENCIES)},
            "size": {"width": chance.randrange(1, 400) / 2, "height": chance.randrange(1, 400) / 2},
            "tags": chance.sample(_TAGS, chance.randrange(4)),
        }
