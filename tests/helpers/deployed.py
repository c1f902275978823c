"""The files that operators deploy, and the reverse proxies among them as real processes in front of real replicas."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.helpers.azurite import free_port
from tests.helpers.nginx import NGINX

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / ".container"
CADDY = shutil.which("caddy")
REPLICAS = ("127.0.0.1:8001", "127.0.0.1:8002")
"""The addresses of the two replicas in both files."""
_NAME = "exports.example.com"
_START_SECONDS = 60
_STOP_SECONDS = 60


def available(kind: str) -> str | None:
    """The reason to skip if the proxy (``nginx`` or ``caddy``) is not installed, else None."""
    found = NGINX if kind == "nginx" else CADDY
    return None if found else f"no {kind}: install Debian's package {kind}"


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"{old!r} is not in the file"
    return text.replace(old, new)


def nginx_configuration(folder: Path, port: int, plain_port: int, replicas: tuple[int, int]) -> str:
    """A whole configuration for a test, whose ``http`` has the deployed file with other ports and paths."""
    text = (CONTAINER / "nginx.conf").read_text("utf-8")
    # One address and the test's ports; the rest of the file stays as it is.
    text = re.sub(r"^ *listen \[::\]:.*\n", "", text, flags=re.MULTILINE)
    text = _replaced(text, "listen 443 ", f"listen 127.0.0.1:{port} ")
    text = _replaced(text, "listen 80;", f"listen 127.0.0.1:{plain_port};")
    for address, replica in zip(REPLICAS, replicas, strict=True):
        text = _replaced(text, f"server {address} ", f"server 127.0.0.1:{replica} ")
    text = _replaced(text, "/etc/ssl/tailrace/", f"{folder}/")
    text = _replaced(text, "/var/log/nginx/tailrace.log", f"{folder}/access.log")
    # As root, nginx would hand its work to a user who cannot read the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;\n"
        f"events {{ worker_connections 256; }}\nhttp {{ {temporary}\n{text}\n}}\n"
    )


def caddy_configuration(folder: Path, port: int, plain_port: int, replicas: tuple[int, int]) -> str:
    """The deployed file with other ports and paths, and a certificate of the test."""
    text = (CONTAINER / "Caddyfile").read_text("utf-8")
    text = _replaced(text, "\tservers {", f"\tadmin off\n\thttp_port {plain_port}\n\tservers {{")
    certificate = f"\ttls {folder}/fullchain.pem {folder}/privkey.pem\n\tbind 127.0.0.1\n"
    text = _replaced(text, f"\n{_NAME} {{\n", f"\nhttps://127.0.0.1:{port} {{\n{certificate}")
    for address, replica in zip(REPLICAS, replicas, strict=True):
        text = _replaced(text, address, f"127.0.0.1:{replica}")
    return _replaced(text, "/var/log/caddy/tailrace.log", f"{folder}/access.log")


def make_certificate(folder: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "privkey.pem").write_bytes(private)


class DeployedProxy:
    """The nginx or Caddy that an operator runs, within the ``with`` block, with TLS on a free port."""

    def __init__(self, kind: str, folder: Path, replicas: tuple[int, int]) -> None:
        self.folder = folder
        self.port, plain_port = free_port(), free_port()
        self.base = f"https://127.0.0.1:{self.port}"
        self.plain_base = f"http://127.0.0.1:{plain_port}"
        make_certificate(folder)
        if kind == "nginx":
            (folder / "nginx.conf").write_text(nginx_configuration(folder, self.port, plain_port, replicas))
            self.command = [str(NGINX), "-p", str(folder), "-e", str(folder / "error.log"), "-c"]
            self.command += [str(folder / "nginx.conf")]
        else:
            (folder / "Caddyfile").write_text(caddy_configuration(folder, self.port, plain_port, replicas))
            self.command = [str(CADDY), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def trust(self) -> ssl.SSLContext:
        """A context that trusts the test's certificate alone."""
        return ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))

    @property
    def access_log(self) -> str:
        """What the proxy has logged of requests."""
        return (self.folder / "access.log").read_text("utf-8")

    def __enter__(self) -> Self:
        environment = {**os.environ, "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        with (self.folder / "proxy.log").open("wb") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "proxy.log").read_text())
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.05)
        raise TimeoutError("the proxy did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_STOP_SECONDS)
