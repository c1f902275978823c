"""``make azurite``: the demo with its results and exports in a local Azurite."""

import os

from tests.helpers.azurite import Azurite, available
from web.cli import main


def run() -> None:
    """Start the emulator, serve the demo on it, and end it with the service."""
    reason = available()
    if reason is not None:
        raise SystemExit(reason)
    with Azurite() as emulator:
        os.environ["AZURE_STORAGE_CONNECTION_STRING"] = emulator.connection_string
        os.environ["TAILRACE_RESULTS"] = "az://results"
        os.environ["TAILRACE_EXPORTS"] = "az://exports"
        main(["demo"])


if __name__ == "__main__":
    run()
