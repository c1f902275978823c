"""Clients that export, download, look, ask SQL and leave: what they do, and what is wrong with the answers."""

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.helpers.server import KEY, OTHER_KEY

LARGE, SMALL = 400_000, 3_000
"""Rows of the two workflows."""
HEALTH, DOWNLOAD, STRANGER = "health check", "download", "another team's key (404)"
PAGE, COLUMN = "page", "column statistics"
EXPORT, LARGE_EXPORT = "small export", "large export"
LATER, STATUS, SQL, BOMB = "asynchronous export", "status document", "SQL", "SQL beyond its memory (400)"
REQUEST_NAMES = (HEALTH, DOWNLOAD, STRANGER, PAGE, COLUMN, EXPORT, LARGE_EXPORT, LATER, STATUS, SQL, BOMB)
"""What is asked for, as the table calls it."""
_RETRIES = (503,)
_BOMB = "SELECT length(repeat('x', 900000000)) FROM data"


@dataclass
class Seen:
    """What the clients saw."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    sent: int = 0

    def note(self, name: str, answer: httpx2.Response, started: float, *right: int) -> bool:
        """Whether the answer is one of those that are right and not a request to come back."""
        self.statuses[name, answer.status_code] += 1
        self.seconds.setdefault(name, []).append(time.monotonic() - started)
        self.sent += len(answer.content)
        if answer.status_code in _RETRIES:
            if int(answer.headers.get("retry-after", "0")) < 1 or answer.json()["code"] != "busy":
                self.wrong.append(f"{name}: {answer.text}")
            return False
        if answer.status_code not in right:
            self.wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")
        return answer.status_code in right


class Client:
    """One of many, with choices of its own."""

    def __init__(self, http: httpx2.AsyncClient, seen: Seen, seed: int) -> None:
        self._http = http
        self._seen = seen
        self._random = random.Random(seed)
        self._deeds: list[Callable[[], Awaitable[None]]] = [
            self.export, self.export, self.page, self.column, self.stranger, self.leave, self.again, self.later,
            self.sql, self.sql, self.bomb,
        ]  # fmt: skip
        self._url = ""
        self._sha256 = ""

    async def work(self, until: float, first: int) -> None:
        """Do one thing after the other."""
        await self._deeds[first % len(self._deeds)]()
        while time.monotonic() < until:
            await self._random.choice(self._deeds)()

    def _filters(self) -> tuple[str, int]:
        low = self._random.randrange(SMALL)
        return json.dumps([{"field": "n", "operator": "GREATER_THAN_OR_EQUAL", "value": low}]), SMALL - low

    async def _get(self, name: str, path: str, *right: int, key: str = KEY, **query: Any) -> httpx2.Response | None:
        started = time.monotonic()
        answer = await self._http.get(path, params=query, headers={"x-api-key": key})
        return answer if self._seen.note(name, answer, started, *right) else None

    async def export(self) -> None:
        """An export of some rows, and its file."""
        filters, rows = self._filters()
        format_name = self._random.choice(["csv", "json", "parquet"])
        answer = await self._get(EXPORT, "/v4/workflows/small/data/export", 200, filters=filters, format=format_name)
        if answer is None:
            return
        made = answer.json()
        if made["rowCount"] != rows:
            self._seen.wrong.append(f"export: {made['rowCount']} rows, not {rows}")
        self._url, self._sha256 = made["url"], made["sha256"]
        await self.again()

    async def again(self) -> None:
        """The file of the last export, once more."""
        if not self._url:
            return
        started = time.monotonic()
        answer = await self._http.get(self._url)
        if self._seen.note(DOWNLOAD, answer, started, 200) and (
            hashlib.sha256(answer.content).hexdigest() != self._sha256
        ):
            self._seen.wrong.append("download: other bytes than promised")

    async def page(self) -> None:
        """A page of rows."""
        filters, rows = self._filters()
        answer = await self._get(PAGE, "/v4/workflows/small/data", 200, filters=filters, limit=10, sortBy="word")
        if answer is not None and answer.json()["pagination"]["totalCount"] != rows:
            self._seen.wrong.append("page: another count")

    async def column(self) -> None:
        """The facts of a column."""
        filters, rows = self._filters()
        answer = await self._get(COLUMN, "/v4/workflows/small/data/column", 200, filters=filters, field="n")
        if answer is not None and answer.json()["rowCount"] != rows:
            self._seen.wrong.append("column: another count")

    async def stranger(self) -> None:
        """Another team's key."""
        await self._get(STRANGER, "/v4/workflows/small/data/export", 404, key=OTHER_KEY)

    async def leave(self) -> None:
        """A large export whose asker goes away."""
        filters = json.dumps([{"field": "n", "operator": "LESS_THAN", "value": self._random.randrange(LARGE)}])
        query = {"filters": filters, "sortBy": "word"}
        try:
            await self._http.get(
                "/v4/workflows/large/data/export", params=query, headers={"x-api-key": KEY}, timeout=0.2
            )
        except httpx2.TimeoutException:
            self._seen.statuses["left", 0] += 1

    async def later(self) -> None:
        """An export by a ticket, and its file, which others may have made before."""
        filters, rows = self._filters()
        started = time.monotonic()
        answer = await self._http.get(
            "/v4/workflows/small/data/export",
            params={"filters": filters},
            headers={"x-api-key": KEY, "prefer": "respond-async"},
        )
        if not self._seen.note(LATER, answer, started, 202):
            return
        made: dict[str, Any] = {}
        while "url" not in made:
            started = time.monotonic()
            status = await self._http.get(answer.headers["location"], headers={"x-api-key": KEY})
            if not self._seen.note(STATUS, status, started, 200):
                return
            made = status.json()
            if made.get("phase") in ("failed", "cancelled"):
                # Another one of these may have left the queue full.
                if made.get("code") != "busy":
                    self._seen.wrong.append(f"{STATUS}: {status.text}")
                return
            await asyncio.sleep(0.1)
        if made["rowCount"] != rows:
            self._seen.wrong.append(f"{LATER}: {made['rowCount']} rows, not {rows}")
        self._url, self._sha256 = made["url"], made["sha256"]
        await self.again()

    async def sql(self) -> None:
        """A statement over a run."""
        low = self._random.randrange(SMALL)
        answer = await self._ask(SQL, f"SELECT count(*) AS rows, min(n) AS least FROM data WHERE n >= {low}", 200)
        if answer is not None and answer.json()["rows"] != [{"rows": SMALL - low, "least": low}]:
            self._seen.wrong.append(f"{SQL}: {answer.text}")

    async def bomb(self) -> None:
        """A statement that takes more memory than one may."""
        answer = await self._ask(BOMB, _BOMB, 400)
        if answer is not None and answer.json()["code"] != "limit_exceeded":
            self._seen.wrong.append(f"{BOMB}: {answer.text}")

    async def _ask(self, name: str, sql: str, *right: int) -> httpx2.Response | None:
        started = time.monotonic()
        answer = await self._http.post("/v4/workflows/small/data/query", json={"sql": sql}, headers={"x-api-key": KEY})
        return answer if self._seen.note(name, answer, started, *right) else None
