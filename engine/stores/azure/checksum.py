"""The checksum that goes with a block, which the service compares with the bytes that arrive: CRC-64/NVME or MD5."""

import base64
import hashlib
import logging
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit

from engine.errors import InvalidInput
from engine.settings import AzureChecksum
from engine.stores import crc64

_LOG = logging.getLogger("tailrace")
_EMULATOR_ACCOUNT = "devstoreaccount1"

BlockHeaders = Callable[[bytes | memoryview], dict[str, str]]
"""Returns the header with the checksum of a block."""


def block_headers(checksum: AzureChecksum, account: str, url: str) -> BlockHeaders:
    """What makes the header, for the service of that account at that URL.

    Raises InvalidInput if ``crc64`` is asked for and awscrt is missing; ``auto`` has MD5 then.
    """
    if checksum == "md5" or (checksum == "auto" and _is_emulator(account, url)):
        return _md5_header
    if checksum == "crc64" and not crc64.is_available():
        raise InvalidInput(
            "TAILRACE_AZURE_CHECKSUM=crc64 needs the package awscrt.", remedy="pip install tailrace[azure]"
        )
    return _crc64_header


def _is_emulator(account: str, url: str) -> bool:
    """Whether it computes a CRC-64 in JavaScript, at 80 MB/s. The URL of an emulated account has its name as path."""
    return account == _EMULATOR_ACCOUNT or urlsplit(url).path.strip("/") != ""


def _md5_header(data: bytes | memoryview) -> dict[str, str]:
    return {"Content-MD5": _base64(hashlib.md5(data, usedforsecurity=False).digest())}


def _crc64_header(data: bytes | memoryview) -> dict[str, str]:
    # awscrt takes 50 ms to load, so ``auto`` does it for the first block.
    if not crc64.is_available():
        _log_md5()
        return _md5_header(data)
    return {"x-ms-content-crc64": _base64(crc64.crc64nvme(data).to_bytes(8, "little"))}


@cache
def _log_md5() -> None:
    _LOG.info("Blocks are sent to Azure with MD5, which takes more processor time than CRC-64: awscrt is missing.")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
