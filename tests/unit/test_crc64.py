"""The CRC-64/NVME of a file, combined from those of its blocks."""

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from engine.errors import InvalidInput
from engine.exports.verify import verify_exports
from engine.stores import DirectoryStore
from engine.stores import crc64 as module
from engine.stores.crc64 import as_text, combined, crc64nvme
from tests.helpers.crc64_oracle import crc64, crc64_text


@pytest.fixture
def _without_awscrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module._checksums.cache_clear()
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    yield
    module._checksums.cache_clear()


def test_the_checksums_of_blocks_give_that_of_the_file() -> None:
    chance = Random(1)
    for size in (0, 1, 9, 5_000, 70_000):
        content = chance.randbytes(size)
        cuts = [0, *sorted(chance.choices(range(size + 1), k=7)), size]
        found = 0
        for start, end in pairwise(cuts):
            block = content[start:end]
            assert crc64nvme(block) == crc64(block)
            found = combined(found, crc64nvme(block), len(block))
        assert found == crc64(content)
        assert crc64nvme(content[size // 3 :], crc64nvme(content[: size // 3])) == crc64(content)


def test_the_text_is_that_of_s3() -> None:
    assert crc64(b"123456789") == 0xAE8B14860A799888  # the check value of the algorithm's definition
    assert as_text(crc64nvme(b"123456789")) == crc64_text(b"123456789") == "rosUhgp5mIg="


@pytest.mark.usefixtures("_without_awscrt")
def test_without_the_package_it_is_refused_with_a_remedy() -> None:
    with pytest.raises(InvalidInput) as caught:
        crc64nvme(b"abc")
    assert caught.value.details["remedy"] == "pip install tailrace[azure]"


@pytest.mark.usefixtures("_without_awscrt")
def test_without_the_package_verify_names_the_files_that_it_cannot_check(tmp_path: Path) -> None:
    store, key = DirectoryStore(tmp_path), f"w/{UUID(int=1)}.csv"
    metadata = {"rows": "1", "run": "r", "format": "csv", "crc64nvme": crc64_text(b"a")}
    store.create(key, b"a", content_type="text/csv", metadata=metadata)
    (found,) = verify_exports(store)
    assert found.problem == ("it cannot be checked: CRC-64/NVME needs the package awscrt (pip install tailrace[azure])")
