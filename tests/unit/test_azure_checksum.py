"""Which checksum goes with a block to Azure, and its value."""

import base64
import logging
import sys
from collections.abc import Iterator

import pytest

from engine.errors import InvalidInput
from engine.settings import AzureChecksum
from engine.stores import crc64 as crc64_module
from engine.stores.azure import checksum as module
from engine.stores.azure.checksum import block_headers
from tests.helpers.crc64_oracle import crc64

ACCOUNT = ("account", "https://account.blob.core.windows.net/")
EMULATOR = ("devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1")


@pytest.fixture(autouse=True)
def _loaded_anew() -> Iterator[None]:
    for cached in (crc64_module._checksums, module._log_md5):
        cached.cache_clear()
    yield
    crc64_module._checksums.cache_clear()


@pytest.mark.parametrize(
    ("wanted", "service", "name"),
    [
        ("auto", ACCOUNT, "x-ms-content-crc64"),
        ("auto", ("account", "https://account.blob.core.chinacloudapi.cn"), "x-ms-content-crc64"),
        ("auto", ("account", "https://account.z12.blob.storage.azure.net/?sv=2026&sig=a%2Fb"), "x-ms-content-crc64"),
        ("auto", ("", "https://files.example.com"), "x-ms-content-crc64"),
        ("auto", EMULATOR, "Content-MD5"),
        ("auto", ("devstoreaccount1", "http://devstoreaccount1.blob.localhost:10000/"), "Content-MD5"),
        ("auto", ("tenant", "http://azurite:10000/tenant"), "Content-MD5"),
        ("crc64", EMULATOR, "x-ms-content-crc64"),
        ("md5", ACCOUNT, "Content-MD5"),
    ],
)
def test_the_header(wanted: AzureChecksum, service: tuple[str, str], name: str) -> None:
    assert list(block_headers(wanted, *service)(b"abc")) == [name]


def test_the_crc_is_little_endian_in_base64() -> None:
    for data in (b"123456789", b"a", bytes(range(256)) * 5):
        value = block_headers("crc64", *ACCOUNT)(memoryview(bytearray(data)))["x-ms-content-crc64"]
        assert base64.b64decode(value) == crc64(data).to_bytes(8, "little")


def test_without_the_package_auto_is_md5_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    caplog.set_level(logging.INFO, "tailrace")
    headers = block_headers("auto", *ACCOUNT)
    assert [headers(b"abc"), headers(b"abc")] == [{"Content-MD5": "kAFQmDzST7DWlj99KOF/cg=="}] * 2
    (line,) = caplog.messages
    assert line.startswith("Blocks are sent to Azure with MD5")


def test_without_the_package_crc64_is_refused_when_the_store_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    with pytest.raises(InvalidInput) as caught:
        block_headers("crc64", *ACCOUNT)
    assert caught.value.details["remedy"] == "pip install tailrace[azure]"
