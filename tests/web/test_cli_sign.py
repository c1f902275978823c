"""``tailrace sign`` as an operator runs it: URLs of files that are there, and what is said of URLs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.server import Server
from tests.helpers.stores import any_store
from tests.web.conftest import publish_people


@pytest.fixture(scope="module")
def service(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running service with a small workflow."""
    folder = tmp_path_factory.mktemp("service")
    with Server(module_store_url, folder) as server:
        publish_people(server, folder)
        yield server


def test_sign(service: Server) -> None:
    made = service.export("people", format="json").json()
    signed = service.command("sign", "people", made["exportId"], "--ttl", "600")
    assert signed.returncode == 0, signed.stderr
    url = signed.stdout.strip()
    answer = service.request(url)
    assert (answer.status, json.loads(answer.body)[0]["name"]) == (200, "Ann")
    good = service.command("sign", "--check", url)
    assert (good.returncode, good.stdout.startswith("Valid until 2"), good.stderr) == (0, True, "")
    assert good.stdout.endswith(f": json people {made['exportId']}.\n")
    elsewhere = service.command("sign", "--check", url.replace("127.0.0.1", "elsewhere"))
    assert (elsewhere.returncode, "It points to http://elsewhere" in elsewhere.stderr) == (0, True)
    short = service.command("sign", "people", made["exportId"], "--ttl", "1", "--format", "json").stdout.strip()
    time.sleep(1.5)
    expired = service.command("sign", "--check", short)
    assert (expired.returncode, "The URL expired at 2" in expired.stderr) == (1, True)


@any_store
def test_check_names_the_clocks_for_a_url_of_the_future(service: Server, tmp_path: Path) -> None:
    names = ("TAILRACE_RESULTS", "TAILRACE_EXPORTS", "TAILRACE_SIGNING_KEYS", "AZURE_STORAGE_CONNECTION_STRING")
    same = {name: service.environment[name] for name in names if name in service.environment}
    lifetimes = {"TAILRACE_URL_TTL_SECONDS": "60", "TAILRACE_URL_MAX_TTL_SECONDS": "60"}
    strict = Server(("", {}), tmp_path, **same, **lifetimes, TAILRACE_BASE_URL=service.base)
    future = strict.command("sign", "--check", service.export("people").json()["url"])
    assert future.returncode == 1
    assert "expires later than TAILRACE_URL_MAX_TTL_SECONDS from now: the clock of this machine" in future.stderr


@any_store
@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["people", "00000000-0000-8000-8000-000000000000"], 1, "There is no such export"),
        (["people", "../x"], 1, "There is no such export"),
        (["people", "x", "--ttl", "99999999"], 1, "The maximum lifetime of a URL is 86400 seconds"),
        (["people", "x", "--ttl", "0"], 2, "0"),
        (["people"], 2, "Pass WORKFLOW and EXPORT_ID, or --check URL"),
        (["people", "x", "--check", "y"], 2, "Pass WORKFLOW and EXPORT_ID, or --check URL"),
        (["--check", "y", "--ttl", "3"], 2, "--check cannot be combined"),
        (["--check", "https://[nonsense"], 1, "was not signed with these settings"),
        (["--check", "http://x/ä?sig=ö"], 1, "was not signed with these settings"),
        (["--check", ""], 1, "was not signed with these settings"),
    ],
)
def test_sign_refuses(service: Server, arguments: list[str], code: int, reason: str) -> None:
    done = service.command("sign", *arguments)
    assert (done.returncode, done.stdout, reason in done.stderr) == (code, "", True), done.stderr
    assert "Traceback" not in done.stderr
