"""curl saves the file under its name; a spreadsheet opens the CSV with its umlauts."""

import csv
import hashlib
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.clients.conftest import Exports, row

SOFFICE = shutil.which("soffice")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no `curl` on the PATH")
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_curl_takes_the_name_from_the_answer(exports: Exports, download_folder: Path, format_name: str) -> None:
    answer = exports.ask(format_name)
    subprocess.run(["curl", "-sSfOJ", answer["url"]], cwd=download_folder, check=True, timeout=60)
    (file,) = download_folder.iterdir()
    assert file.name == f"mixed-r1.{format_name}"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == answer["sha256"]


@pytest.mark.skipif(SOFFICE is None, reason="no LibreOffice: install Debian's package libreoffice-calc")
@pytest.mark.parametrize("delimiter", ["comma", "semicolon"])
def test_a_spreadsheet_keeps_umlauts_and_emoji(exports: Exports, download_folder: Path, delimiter: str) -> None:
    filters = [{"field": "n", "operator": "LESS_THAN", "value": 40}]
    url = exports.url("csv", bom="true", delimiter=delimiter, filters=filters)
    source = download_folder / "people.csv"
    urllib.request.urlretrieve(url, source)
    # In and out as UTF-8, as a person chooses in a dialog; the mark must not become a part of the first name.
    read = f"--infilter=Text - txt - csv (StarCalc):{ord(',' if delimiter == 'comma' else ';')},34,76,1"
    write = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false"
    out = download_folder / "out"
    profile = f"-env:UserInstallation=file://{download_folder}/profile"
    command = [str(SOFFICE), profile, "--headless", "--norestore", read, "--convert-to", write, "--outdir", str(out)]
    subprocess.run([*command, str(source)], check=True, capture_output=True, timeout=120)
    with (out / "people.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    assert [record["text"] for record in records] == [(row(n)["text"] or "").replace("=1+1", "2") for n in range(40)]
    assert [record["n"] for record in records] == [str(n) for n in range(40)]
