"""A sweep during a download or an export."""

import http.client
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from engine.exports.sweep import DOWNLOAD_GRACE
from tests.faults.deployment import LARGE, Deployment, csv_above
from tests.faults.fault_table import NEXT, WHOLE, Outcome
from tests.helpers.altered import UNCOMMITTED

RETENTION = timedelta(hours=30)
"""A quarter more than the lifetime of a URL."""
_MINUTE = timedelta(minutes=1)

DOWNLOADS = {
    "a sweep during a download, up to an hour after its URL expired": (
        RETENTION + DOWNLOAD_GRACE - _MINUTE,
        False,
        Outcome("the file", WHOLE),
    ),
    "a sweep during a download, later than that": (
        RETENTION + DOWNLOAD_GRACE + _MINUTE,
        True,
        Outcome("the file; one from Azure may end short of its Content-Length", NEXT),
    ),
}
EXPORTS = {"a sweep while an export runs": Outcome("the answer", WHOLE)}


@pytest.fixture(scope="module")
def deployment(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    deployment = Deployment(module_store_url, tmp_path_factory.mktemp("sweeps"), LARGE)
    with deployment.server:
        yield deployment
        deployment.server.go_on()


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_sweep_during_a_download(deployment: Deployment, name: str) -> None:
    after, swept, _ = DOWNLOADS[name]
    number = deployment.fresh()
    made = deployment.ask(number).answer().json()
    url = urlsplit(made["url"])
    connection = http.client.HTTPConnection("127.0.0.1", deployment.server.port)
    connection.request("GET", f"{url.path}?{url.query}")
    answer = connection.getresponse()
    content = answer.read(4096)
    removed = deployment.sweep(datetime.now(UTC) + after).get("exports", 0)
    assert removed == swept
    try:
        content += answer.read()
    except http.client.IncompleteRead as short:
        assert swept
        assert not deployment.local
        content += short.partial
        assert csv_above(number, LARGE).startswith(content)
    else:
        assert content == csv_above(number, LARGE)
    connection.close()
    assert bool(deployment.visible()) != swept
    assert deployment.server.request(made["url"]).status == (404 if swept else 200)
    deployment.check_next(number)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_sweep_during_an_export_removes_nothing_of_it(deployment: Deployment, name: str) -> None:
    """Nothing of a running export is old enough."""
    number = deployment.fresh()
    deployment.server.halt_at(UNCOMMITTED)
    asked = deployment.ask(number)
    deployment.server.wait_until_halted()
    there = deployment.leftovers()
    assert bool(there) == deployment.local
    done = deployment.server.command("sweep")
    assert done.stdout.startswith("0 bytes in total"), done.stderr
    assert deployment.leftovers() == there
    deployment.server.go_on()
    deployment.check_answer(asked.answer(), number)
    deployment.check_next(number)
