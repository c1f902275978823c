"""Which checksum goes with a block to Azure, and its value."""

import base64
import logging
import sys
from collections.abc import Iterator

import pytest

from engine.errors import InvalidInput
from engine.settings import AzureChecksum
from engine.stores.azure import checksum as module
from engine.stores.azure.checksum import block_headers

ACCOUNT = ("account", "https://account.blob.core.windows.net/")
EMULATOR = ("devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1")

_POLYNOMIAL = 0x9A6C9329AC4BC9B5
"""Of CRC-64/NVME, with its bits reversed, as the definition of the algorithm has it."""


@pytest.fixture(autouse=True)
def _loaded_anew() -> Iterator[None]:
    module._crc64nvme.cache_clear()
    yield
    module._crc64nvme.cache_clear()


def crc64(data: bytes) -> int:
    """CRC-64/NVME bit by bit."""
    crc = 2**64 - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ (2**64 - 1)


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
    assert crc64(b"123456789") == 0xAE8B14860A799888  # the check value of the algorithm's definition
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
