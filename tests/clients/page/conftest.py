"""The page in Chromium: one server for all modules, one browser for each, one tab for each test."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.page.explorer import Explorer
from tests.helpers.server import Server

SHOPS: list[dict[str, Any]] = [
    {
        "name": f"<b>name</b> {n}",
        "price": n / 4,
        "big": 9_007_199_254_740_993 + n,
        "city": ["Rome", "Oslo", None][n % 3],
        "open": n % 2 == 0,
        "home": {"zip": f"{n:05}"},
    }
    for n in range(1200)
]
PRICES: list[dict[str, Any]] = [
    {
        "product": f"p{n}",
        "price": {"amount": n * 37 % 100 * 100, "currencyCode": "EUR"},
        "tags": ["a"],
        "size": {"w": n},
    }
    for n in range(60)
]
PRICES_SCHEMA = {
    "fields": [
        {"name": "product", "dataType": "STRING"},
        {"name": "price", "dataType": "MONEY"},
        {"name": "tags", "dataType": "ARRAY", "items": {"dataType": "STRING"}},
        {"name": "size", "dataType": "OBJECT", "fields": [{"name": "w", "dataType": "NUMBER"}]},
    ]
}
GOODS: list[dict[str, Any]] = [
    {
        "sku": "A-1", "title": "Paella pan, polished", "page": "https://shop.example/p/paella-pan?x=1",
        "photo": "https://img.example/1.png", "price": {"amount": 305648, "currencyCode": "EUR"}, "inStock": True,
        "listedOn": "2026-10-29", "seenAt": "2026-11-01T06:41:17Z", "size": {"width": 55, "inner": {"a": 1}},
        "tags": ["steel", "outdoor, large", "pans", "x"],
    },
    {
        "sku": "A-2", "title": "x" * 400 + "\nlast line", "page": "javascript:alert(1)", "photo": "not a link",
        "price": {"amount": 3480, "currencyCode": "JPY"}, "inStock": False, "listedOn": "2026-10-28",
        "seenAt": "2026-11-01T06:41:17.250Z", "size": None, "tags": [],
    },
    {
        "sku": "A-3", "title": "", "page": None, "photo": "https://img.example/3.png",
        "price": {"amount": -5, "currencyCode": "points"}, "inStock": None, "listedOn": None,
        "seenAt": None, "size": {"width": None, "inner": None}, "tags": None,
    },
]  # fmt: skip
GOODS_SCHEMA = {
    "fields": [
        {"name": "sku", "dataType": "STRING"},
        {"name": "title", "dataType": "STRING"},
        {"name": "page", "dataType": "LINK"},
        {"name": "photo", "dataType": "IMAGE"},
        {"name": "price", "dataType": "MONEY"},
        {"name": "inStock", "dataType": "BOOLEAN"},
        {"name": "listedOn", "dataType": "DATE"},
        {"name": "seenAt", "dataType": "DATETIME"},
        {
            "name": "size",
            "dataType": "OBJECT",
            "fields": [
                {"name": "width", "dataType": "NUMBER"},
                {"name": "inner", "dataType": "OBJECT", "fields": [{"name": "a", "dataType": "NUMBER"}]},
            ],
        },
        {"name": "tags", "dataType": "ARRAY", "items": {"dataType": "STRING"}},
    ]
}
ITEMS: list[dict[str, Any]] = [
    {"id": f"n{n}", "name": f"<i>{n}</i>", "price": n / 2, "big": 2**60 + n} for n in range(40)
]
LATER_ITEMS = [
    *({**row, "price": row["price"] + 1} if row["id"] in ("n5", "n30") else row for row in ITEMS[2:-1]),
    {**ITEMS[-1], "big": 2**60},
    *({"id": f"m{n}", "name": None, "price": 9, "big": None} for n in range(15)),
]
"""Of the items, 2 are gone, 3 are changed and 15 are new."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("explorer")
    with Server((str(folder / "store"), {}), folder) as server:
        source, schema = folder / "rows.json", folder / "schema.json"

        def publish(workflow: str, run: str, rows: list[dict[str, Any]], *options: str) -> None:
            source.write_text(json.dumps(rows))
            server.publish("--workflow", workflow, "--run", run, *options, str(source))

        publish("shops", "r1", SHOPS, "--name", "Shops")
        publish("shops", "r2", SHOPS[:1], "--name", "Shops", "--state", "FAILED")
        schema.write_text(json.dumps(PRICES_SCHEMA))
        for run, rows in {"w1": PRICES, "w2": PRICES[:50]}.items():
            publish("wares", run, rows, "--schema", str(schema))
        publish("wares", "w3", [{"tags": ["a"]}])
        schema.write_text(json.dumps(GOODS_SCHEMA))
        publish("goods", "g1", GOODS, "--schema", str(schema), "--row-id", "sku")
        for run, rows in {"i1": ITEMS, "i2": LATER_ITEMS}.items():
            publish("items", run, rows, "--row-id", "id")
        publish("broken", "b1", SHOPS[:1], "--state", "FAILED")
        source.write_text("sku,title\n")
        server.publish("--workflow", "hollow", "--run", "h1", "--format", "csv", str(source))
        yield server


@pytest.fixture
def explorer(browser: Any, server: Server) -> Iterator[Explorer]:
    """The page in a new browser context. Fails on script errors, policy violations and requests to other hosts."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened = Explorer(context.new_page(), server)
    yield opened
    context.close()
    assert opened.violations == []
