"""What the documents say is what the code says, and the commands that they show can be run."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.catalog.types import FAMILIES
from tests.helpers.azurite import free_port
from tests.helpers.document_tables import ROOT, TABLES, Table, settings_rows

README = (ROOT / "README.md").read_text("utf-8")
MAX_WORDS = 2500
_ADDRESS = "http://127.0.0.1:8000"
_START_SECONDS = 120


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.document} {table.header}")
def test_tables_are_the_code(table: Table) -> None:
    """After a change of settings or operators, run `make tables`."""
    assert table.rows() == table.wanted()


def test_the_example_settings_name_every_setting() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    assert re.findall(r"^#?([A-Z0-9_]+)=", example, re.MULTILINE) == list(settings_rows())


def test_the_types_table_names_every_stored_type() -> None:
    types = (ROOT / "engine/README.md").read_text("utf-8").split("\n## Types\n")[1]
    assert re.findall(r"^\| `([A-Z ]+)`", types, re.MULTILINE) == list(FAMILIES)


def test_a_newcomer_reads_it_in_ten_minutes() -> None:
    assert len(README.split()) <= MAX_WORDS


def documents() -> list[Path]:
    """The Markdown files of the repository."""
    hidden = (".github", ".container")
    folders = [path for path in ROOT.iterdir() if path.is_dir() and (path.name in hidden or path.name[0] != ".")]
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    return sorted(path for path in found if "node_modules" not in path.parts)


def _anchors(document: Path) -> set[str]:
    """What links to headings end with, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_relative_links_lead_to_files_and_headings() -> None:
    broken = []
    for document in documents():
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
            name, _, anchor = link.partition("#")
            target = document.parent / name if name else document
            if "://" not in link and (not target.exists() or (anchor and anchor not in _anchors(target))):
                broken.append(f"{document.relative_to(ROOT)}: {link}")
    assert broken == []


def test_files_that_documents_name_exist() -> None:
    """Paths from the root, or from the document's folder. The changelog may name what is gone."""
    lost = [
        f"{document.relative_to(ROOT)}: {name}"
        for document in documents()
        if document.name != "CHANGELOG.md"
        for name in re.findall(r"`([\w.-]+/[\w./-]+\.(?:py|md|toml|sql|lock|yaml|json))`", document.read_text("utf-8"))
        if not (ROOT / name).exists() and not (document.parent / name).exists() and not name.startswith(".tailrace/")
    ]
    assert lost == []


def test_settings_that_documents_name_exist() -> None:
    """Names of the tests and of the tools count, too. The changelog may name what is gone."""
    code = [ROOT / "Makefile", *(path for room in ("engine", "web", "tests") for path in (ROOT / room).rglob("*.py"))]
    known = set(re.findall(r"\bTAILRACE_[A-Z0-9_]+", "\n".join(path.read_text("utf-8") for path in code)))
    known |= settings_rows().keys()
    unknown = [
        f"{document.relative_to(ROOT)}: {name}"
        for document in documents()
        if document.name != "CHANGELOG.md"
        for name in re.findall(r"\bTAILRACE_[A-Z0-9_]+\b(?!\*)", document.read_text("utf-8"))
        if name not in known
    ]
    assert unknown == []


def _section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _steps(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a section (``$ ...``; a backslash continues it) with the output that is shown below it."""
    for block in re.findall(r"(?:^    .*\n)+", text.replace("\\\n", ""), re.MULTILINE):
        for step in re.split(r"^    \$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = step.partition("\n")
            yield command, shown


def _shows(output: str, shown: str) -> bool:
    """Whether an output is the one that is shown, white space aside; ``...`` stands for any text."""
    pattern = ".*".join(re.escape("".join(part.split())) for part in shown.split("..."))
    return re.match(pattern, "".join(output.split())) is not None


class Newcomer:
    """A folder with a service as `make run` starts it, and commands that are run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_port()
        # The commands of the README start the program from the checkout's environment, and name its files.
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "tests").symlink_to(ROOT / "tests")
        ours = re.compile(r"TAILRACE_|AZURE_|.*_proxy$", re.IGNORECASE)
        self._environment = {name: value for name, value in os.environ.items() if not ours.match(name)}
        self._environment |= {"PYTHONPATH": str(ROOT), "TAILRACE_PORT": str(self._port)}
        self.log = folder / "service.log"
        self._start()

    def _start(self) -> None:
        with self.log.open("wb") as log:
            self._service = subprocess.Popen(
                [".venv/bin/tailrace", "demo"], cwd=self.folder, env=self._environment, stdout=log, stderr=log
            )
        try:
            self._wait()
        except TimeoutError:
            self.stop()
            raise

    def _wait(self) -> None:
        """Wait until the service answers, and learn its key."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._service.poll() is None:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    self.key = json.loads((self.folder / ".tailrace/demo.json").read_text())["apiKey"]
                    self._environment["KEY"] = self.key
                    return
            except OSError:
                time.sleep(0.1)
            finally:
                connection.close()
        raise TimeoutError(f"the service did not start: {self.log.read_text()}")

    def run(self, command: str) -> str:
        """What a command prints, with the port of the README. Its ``url``, if it has one, is the next command's."""
        done = self.try_out(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if done.stdout.startswith('{"workflowId"') and '"url":' in done.stdout:
            self._environment["URL"] = json.loads(done.stdout)["url"]
        return done.stdout.replace(self._address, _ADDRESS)

    def try_out(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command, which may fail."""
        return subprocess.run(
            ["bash", "-c", command.replace(_ADDRESS, self._address)],
            cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def restart(self) -> None:
        """End the service, and start it again."""
        self.stop()
        self._start()

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """End the service."""
        self._service.send_signal(signal.SIGTERM)
        self._service.wait(60)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """The service of the tour."""
    if shutil.which("curl") is None:
        pytest.skip("the tour needs curl")
    newcomer = Newcomer(tmp_path_factory.mktemp("newcomer"))
    yield newcomer
    newcomer.stop()


def test_the_commands_of_the_tour_do_what_it_shows(newcomer: Newcomer) -> None:
    steps = list(_steps(_section("A tour")))
    assert len(steps) == _section("A tour").count("\n    $ ") > 4
    for command, shown in steps:
        output = newcomer.run(command)
        assert _shows(output, shown), f"{command}\n{output}"
    ways = re.findall(r"`(\.venv/bin/tailrace [^`]+)`", _section("Five ways to a file"))
    assert len(ways) == 2
    for command in ways:
        newcomer.run(command)
        with (newcomer.folder / command.split()[-1]).open(newline="", encoding="utf-8") as file:
            ratings = [float(row["rating"]) for row in csv.DictReader(file)]
        assert ratings
        assert min(ratings) > 4


def test_the_sample_file_is_published_as_it_is_shown(newcomer: Newcomer) -> None:
    section = _section("Publish your data")
    (python,) = re.findall(r"(    from engine .*\n(?:    .*\n)+)", section)
    (newcomer.folder / "publish.py").write_text(textwrap.dedent(python))
    newcomer.run(".venv/bin/python publish.py")
    ((command, _),) = _steps(section)
    assert json.loads(newcomer.run(command))["runId"] == "2026-11-25"
    for run in ("2026-11-24", "2026-11-25"):
        newcomer.run(f".venv/bin/tailrace export jobs --run {run} -o {run}.csv")
        # Every cell is as it was; the header alone has quotes.
        exported = (newcomer.folder / f"{run}.csv").read_text("utf-8").splitlines()[1:]
        assert exported == (ROOT / "tests/sample/jobs.csv").read_text("utf-8").splitlines()[1:]


def test_what_make_run_prints_can_be_done(newcomer: Newcomer) -> None:
    printed = newcomer.log.read_text()
    commands = re.findall(r"^\d\. .*\n((?:   .*\n)+)", printed, re.MULTILINE)
    assert [len(line) for line in "".join(commands).splitlines() if len(line) > 80] == []
    outputs = [newcomer.run(textwrap.dedent(command)) for command in commands]
    assert len(commands) == printed.count("\n1. ") * 4
    assert (newcomer.folder / "products.csv").read_text("utf-8").count("\nSKU-") == 50_000
    assert json.loads(outputs[-1])["rowCount"] == 50_000
    shown = re.findall(r"http://\S+", printed)
    assert [urlsplit(url).path for url in shown[:3]] == ["/", "/v4/workflows/sample-products/data/export", "/docs"]
    assert urlsplit(shown[0]).fragment == f"key={newcomer.key}"
    # Who starts it a second time is not told that it serves.
    second = newcomer.try_out(".venv/bin/tailrace demo")
    assert (second.returncode, "Open this address" in second.stdout) == (1, False)
    assert "the port is in use. Set TAILRACE_PORT to another one." in second.stderr


def test_make_run_takes_the_settings_of_the_folder(newcomer: Newcomer) -> None:
    (newcomer.folder / ".env").unlink()
    key = newcomer.run(".venv/bin/tailrace keys new --team acme --file mine.jsonl").strip()
    (newcomer.folder / ".env").write_text(
        f"TAILRACE_API_KEYS_FILE=mine.jsonl\nTAILRACE_SIGNING_KEYS=mine={'s' * 40}\nTAILRACE_PROT=1"
    )
    newcomer.restart()
    assert "unknown setting" in newcomer.log.read_text()
    added = (newcomer.folder / ".env").read_text().splitlines()[-1]
    assert added == f"TAILRACE_API_KEYS={newcomer.key}=demo:publish"

    def ask(presented: str, path: str) -> Any:
        return json.loads(newcomer.run(f"curl -s -H 'x-api-key: {presented}' '{_ADDRESS}/v4/workflows{path}'"))

    assert ask(key, "")["workflows"] == []
    assert newcomer.key in newcomer.log.read_text()
    made = ask(newcomer.key, "/sample-products/data/export?format=json")
    assert "kid=mine" in made["url"]
    newcomer.run(f".venv/bin/tailrace sign --check '{made['url']}'")
    url = newcomer.run(f".venv/bin/tailrace sign sample-products {made['exportId']}").strip()
    assert newcomer.run(f"curl -s '{url}' | head -c 1") == "["
    later = newcomer.try_out(".venv/bin/tailrace keys new --team acme")
    assert "Added to mine.jsonl, for team acme.\n" in later.stderr
    assert "Set TAILRACE" not in later.stderr
    unclear = newcomer.try_out(".venv/bin/tailrace publish --workflow w --run 1 tests/sample/jobs.csv")
    assert (unclear.returncode, "--team acme or --team demo" in unclear.stderr) == (2, True)
