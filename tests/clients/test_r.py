"""R runs the snippet that the page shows, and finds the rows and values of the export."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import ROWS, Exports, row

R, NODE, ZSTD = (shutil.which(name) for name in ("Rscript", "node", "zstd"))
SNIPPETS = Path(__file__).parents[2] / "web/pages/explorer/static/export/snippets.js"
_LOOK = """
cat(nrow(data), "\\n")
cat(names(data)[1], "\\n")
cat(format(data$big[2], scientific = FALSE), "\\n")
cat(is.na(data$text[1]), utf8ToInt(enc2utf8(data$text[3])), "\\n")
"""
_FILES: list[tuple[str, dict[str, str], str]] = [
    ("csv", {}, ""),
    ("csv", {"bom": "true", "delimiter": "semicolon"}, ""),
    ("csv", {"compression": "gzip", "delimiter": "tab"}, ""),
    ("csv", {"compression": "zstd"}, ""),
    ("json", {}, "jsonlite"),
    ("json", {"compression": "gzip"}, "jsonlite"),
    ("jsonl", {"compression": "zstd"}, "jsonlite"),
    ("xlsx", {}, "readxl"),
    ("parquet", {}, "arrow"),
]


@pytest.mark.skipif(R is None, reason="no R: install Debian's package r-base-core")
@pytest.mark.skipif(NODE is None, reason="no Node.js, which writes the snippet")
@pytest.mark.parametrize(("format_name", "options", "package"), _FILES)
def test_r_opens_the_file_by_the_snippet_of_the_page(
    exports: Exports, tmp_path: Path, format_name: str, options: dict[str, str], package: str
) -> None:
    if package and _run(f"cat(requireNamespace('{package}', quietly = TRUE))", tmp_path) != "TRUE":
        pytest.skip(f"R lacks the package {package}")
    if options.get("compression") == "zstd" and ZSTD is None:
        pytest.skip("no zstd: install Debian's package zstd")
    url = exports.url(format_name, **options)
    shown = _snippet(tmp_path, url=url, format=format_name, delimiter=options.get("delimiter", "comma"))
    assert f"the package {package}" in shown if package else "::" not in shown
    rows, first, big, text = _run(shown + _LOOK, tmp_path).splitlines()[-4:]
    assert (int(rows), first.strip()) == (ROWS, "n")
    assert big.strip() == str(row(1)["big"])
    assert text.split() == ["TRUE", *(str(ord(letter)) for letter in row(2)["text"])]


def _snippet(folder: Path, **request: str) -> str:
    """What the page shows in its tab R."""
    # Node.js takes a file for a module by its extension.
    (folder / "snippets.mjs").write_bytes(SNIPPETS.read_bytes())
    program = (
        'import { snippets } from "./snippets.mjs";'
        f"process.stdout.write(Object.fromEntries(snippets({json.dumps(request)})).R)"
    )
    command = [str(NODE), "--input-type=module", "-e", program]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


def _run(script: str, folder: Path) -> str:
    """What R prints."""
    (folder / "script.R").write_text(script, "utf-8")
    command = [str(R), "--vanilla", "--encoding=UTF-8", "script.R"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
