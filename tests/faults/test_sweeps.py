"""A sweep while somebody downloads, or while an export runs."""

import http.client
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from engine.exports.sweep import LINGER
from tests.faults.house import LARGE, House, csv_above
from tests.faults.told import NEXT, WHOLE, Told
from tests.helpers.altered import UNCOMMITTED

KEPT = timedelta(hours=30)
"""A quarter longer than a URL."""
_MINUTE = timedelta(minutes=1)

DOWNLOADS = {
    "a sweep during a download, up to an hour after its URL expired": (
        KEPT + LINGER - _MINUTE,
        False,
        Told("the file", WHOLE),
    ),
    "a sweep during a download, later than that": (
        KEPT + LINGER + _MINUTE,
        True,
        Told("the file; one from Azure may end short of its Content-Length", NEXT),
    ),
}
EXPORTS = {"a sweep while an export runs": Told("the answer", WHOLE)}


@pytest.fixture(scope="module")
def house(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(module_store_url, tmp_path_factory.mktemp("sweeps"), LARGE)
    with house.server:
        yield house
        house.server.go_on()


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_sweep_in_a_download(house: House, name: str) -> None:
    after, swept, _ = DOWNLOADS[name]
    number = house.fresh()
    made = house.ask(number).answer().json()
    url = urlsplit(made["url"])
    connection = http.client.HTTPConnection("127.0.0.1", house.server.port)
    connection.request("GET", f"{url.path}?{url.query}")
    answer = connection.getresponse()
    content = answer.read(4096)
    removed = house.sweep(datetime.now(UTC) + after).get("exports", 0)
    assert removed == swept
    try:
        content += answer.read()
    except http.client.IncompleteRead as short:
        assert swept
        assert not house.local
        content += short.partial
        assert csv_above(number, LARGE).startswith(content)
    else:
        assert content == csv_above(number, LARGE)
    connection.close()
    assert bool(house.visible()) != swept
    assert house.server.request(made["url"]).status == (404 if swept else 200)
    house.check_next(number)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_sweep_beside_an_export(house: House, name: str) -> None:
    """By the clock of now, nothing of a running export is old enough."""
    number = house.fresh()
    house.server.halt_at(UNCOMMITTED)
    asked = house.ask(number)
    house.server.wait_until_halted()
    there = house.leftovers()
    assert bool(there) == house.local
    done = house.server.command("sweep")
    assert done.stdout.startswith("0 bytes in total"), done.stderr
    assert house.leftovers() == there
    house.server.go_on()
    house.check_answer(asked.answer(), number)
    house.check_next(number)
