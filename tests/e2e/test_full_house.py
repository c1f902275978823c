"""More exports than the service takes on, and callers who do not wait for theirs."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.helpers.server import KEY, Server


def test_who_comes_to_a_full_house_is_told_when_to_come_back(tmp_path: Path, numbers: Path) -> None:
    settings = {"TAILRACE_EXPORTS_AT_ONCE": "1", "TAILRACE_QUEUE_LENGTH": "1"}
    with Server((str(tmp_path / "store"), {}), tmp_path, **settings) as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        with ThreadPoolExecutor(6) as pool:
            # Different requests, so that none is answered from another's object.
            answers = list(
                pool.map(
                    lambda n: server.export(
                        "numbers", KEY, filters=[{"field": "n", "operator": "GREATER_THAN", "value": n}]
                    ),
                    range(6),
                )
            )
        refused = [answer for answer in answers if answer.status != 200]
        assert 0 < len(refused) < len(answers)
        for answer in refused:
            assert (answer.status, answer.json()["code"]) == (503, "busy")
            assert int(answer.headers["retry-after"]) >= 1
        assert server.export("numbers", KEY, rowIds="000000000001").json()["rowCount"] == 1


def test_a_client_that_goes_away_cancels_its_export(tmp_path: Path, numbers: Path) -> None:
    exports = tmp_path / "store" / "exports"
    with Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_EXPORTS_AT_ONCE="1") as server:
        server.publish("--workflow", "numbers", "--run", "r", str(numbers))
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/v4/workflows/numbers/data/export?sortBy=text", headers={"x-api-key": KEY})
        time.sleep(0.2)
        connection.close()
        # The next export gets the only place, which the first one has left by then.
        assert server.export("numbers", KEY, rowIds="000000000001").status == 200
        assert len(list(exports.glob("numbers/*"))) == 1
        assert list((exports / ".staging").iterdir()) == []
