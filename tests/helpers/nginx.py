"""A reverse proxy before a service: nginx, below a path that it strips or passes on."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.helpers.azurite import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
MISSING = "no nginx: install Debian's package nginx"

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location {prefix}/ {{
      proxy_pass http://127.0.0.1:{upstream}{target};
      proxy_set_header Host $http_host;
      proxy_http_version 1.1;
    }}
    location = {prefix} {{ proxy_pass http://127.0.0.1:{upstream}; }}
    location / {{ return 418; }}
  }}
}}
"""


class Nginx:
    """nginx on a free port. What is not below ``prefix`` gets a 418, so that a wrong address cannot work by chance."""

    def __init__(self, folder: Path, upstream: int, prefix: str, *, strips: bool) -> None:
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.base = self.origin + prefix
        self._folder = folder
        self._settings = {"upstream": upstream, "prefix": prefix, "target": "/" if strips else ""}

    def __enter__(self) -> Self:
        configuration = self._folder / "nginx.conf"
        # As root, nginx would hand its work to a user who cannot read the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        text = _CONFIGURATION.format(folder=self._folder, port=self.port, user=user, **self._settings)
        configuration.write_text(text)
        command = [str(NGINX), "-p", str(self._folder), "-e", str(self._folder / "error.log"), "-c", str(configuration)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "error.log").read_text())
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.05)
        raise TimeoutError("nginx did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
