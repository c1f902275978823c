"""A server that is killed in the middle of an export leaves nothing that a reader could see."""

import signal
import threading
import time
from pathlib import Path

from engine.stores import open_store
from tests.e2e.conftest import ROWS, text_of
from tests.helpers.server import Server

KILLS = (0.1, 0.3, 0.6, 1.0)
"""Seconds after the request: while it plans, while it encodes, while it uploads."""


def test_sigkill_during_an_export_leaves_no_object(
    store_url: tuple[str, dict[str, str]], tmp_path: Path, numbers: Path
) -> None:
    server = Server(store_url, tmp_path)
    location, environment = store_url
    exports = open_store(f"{location}/exports", connection_string=environment.get("AZURE_STORAGE_CONNECTION_STRING"))
    server.publish("--workflow", "numbers", "--run", "r", str(numbers))
    whole = len("n,text\n") + sum(len(f"{n},{text_of(n)}\n") for n in range(ROWS))
    caught = []
    for delay in KILLS:
        server.start()
        asking = threading.Thread(target=_ask_and_be_cut_off, args=(server,))
        asking.start()
        time.sleep(delay)
        still_running = asking.is_alive()
        server.stop(signal.SIGKILL)
        asking.join()
        seen = list(exports.list(""))
        # The commit itself may have come just before the kill: then all of it is there.
        assert [info.size for info in seen] in ([], [whole])
        caught += [delay] if still_running and not seen else []
        for info in seen:
            exports.delete(info.key)
    assert caught, "every export was faster than its kill: nothing was tested"
    server.start()
    content = server.download("numbers", format="csv")
    server.stop(signal.SIGTERM)
    assert (len(content), content.count(b"\n")) == (whole, ROWS + 1)
    assert [info.size for info in exports.list("")] == [whole]


def _ask_and_be_cut_off(server: Server) -> None:
    try:
        server.export("numbers", format="csv")
    except (ConnectionError, OSError):
        return
