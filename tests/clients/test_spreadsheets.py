"""Programs that read spreadsheets open what a signed URL gives: pandas with openpyxl, DuckDB, LibreOffice."""

import shutil
import subprocess
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import pytest

from tests.clients.conftest import ROWS, Exports, row
from tests.helpers.extensions import load_extension
from tests.helpers.format_oracle import read_csv

WANTED = [row(n) for n in range(ROWS)]
OFFICE = shutil.which("soffice")


def test_pandas_reads_the_sheet(exports: Exports) -> None:
    frame = pd.read_excel(exports.url("xlsx"), engine="openpyxl", keep_default_na=False, na_values={"text": []})
    assert list(frame) == list(WANTED[0])
    assert frame["n"].tolist() == [r["n"] for r in WANTED]
    # A whole number of 19 digits is text, which pandas reads as a number.
    assert frame["big"].tolist() == [r["big"] for r in WANTED]
    assert [Decimal(str(price)) for price in frame["price"]] == [r["price"] for r in WANTED]
    assert frame["ratio"].tolist() == [r["ratio"] for r in WANTED]
    assert frame["flag"].tolist() == [r["flag"] for r in WANTED]
    assert [day.date() for day in frame["day"]] == [r["day"] for r in WANTED]
    assert [moment.to_pydatetime().replace(tzinfo=UTC) for moment in frame["moment"]] == [r["moment"] for r in WANTED]
    assert [text or None for text in frame["text"]] == [r["text"] or None for r in WANTED]


def test_duckdb_reads_the_sheet(exports: Exports, httpfs: duckdb.DuckDBPyConnection) -> None:
    load_extension(httpfs, "excel")
    # The first text is null: its cell tells that the column is text.
    cells = "n, big, text, CAST(price AS DECIMAL(12, 2)), ratio, flag, day, moment"
    found = httpfs.execute(f"SELECT {cells} FROM read_xlsx($url)", {"url": exports.url("xlsx")}).fetchall()
    assert found == [
        (r["n"], str(r["big"]), r["text"], r["price"], r["ratio"], r["flag"], r["day"], _naive(r["moment"]))
        for r in WANTED
    ]


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


@pytest.mark.skipif(OFFICE is None, reason="LibreOffice is missing: apt-get install libreoffice-calc")
def test_libreoffice_reads_the_sheet(exports: Exports, tmp_path: Path) -> None:
    answer = exports.server.request(exports.url("xlsx"))
    (tmp_path / "mixed.xlsx").write_bytes(answer.body)
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    # 44, 34, 76: comma, quote, UTF-8; the last but one false keeps the formats of cells.
    convert = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false"
    subprocess.run(
        [str(OFFICE), profile, "--headless", "--convert-to", convert, "--outdir", str(tmp_path), "mixed.xlsx"],
        cwd=tmp_path, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    header, *lines = read_csv((tmp_path / "mixed.csv").read_text("utf-8"))
    assert header == list(WANTED[0])
    assert len(lines) == ROWS
    for cells, wanted in zip(lines, WANTED, strict=True):
        shown = dict(zip(header, cells, strict=True))
        assert (int(shown["n"]), shown["big"], shown["text"]) == (wanted["n"], str(wanted["big"]), wanted["text"] or "")
        assert (Decimal(shown["price"]), float(shown["ratio"])) == (wanted["price"], wanted["ratio"])
        assert shown["flag"] == str(wanted["flag"]).upper()
        assert date.fromisoformat(shown["day"]) == wanted["day"]
        assert datetime.fromisoformat(shown["moment"]) == _naive(wanted["moment"])
