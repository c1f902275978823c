"""The browser of this machine."""

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MISSING = "no Chromium: install Debian's package chromium"

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
