"""What callers, publishers and bad luck do."""

import http.client
import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

from engine.errors import Conflict, EngineError
from engine.exports.sweep import DOWNLOAD_GRACE
from tests.helpers.fault_proxy import ANY, BLOCK, COMMIT, HEAD, READ, Fault
from tests.helpers.server import KEY, Server
from tests.random.oracle import Promise, Request
from tests.random.world import MARGIN_SECONDS, WORKFLOWS, World

Operation = Callable[[World, random.Random, int], None]
_ACTIONS = ("reset", "cut", "lost", "slow", "500 InternalError", "503 ServerBusy", "403 AuthenticationFailed")
_OVER = ("done", "failed", "cancelled")


def _path(workflow: str, run: str | None, request: Request) -> str:
    parameters = request.parameters | ({} if run is None else {"runId": run})
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return f"/v4/workflows/{workflow}/data/export?{urlencode(texts)}"


def _alone(chance: random.Random, index: int) -> Request:
    """A request that nobody else asks for."""
    return replace(Request.draw(chance), above=-2 - index)


def publish(world: World, chance: random.Random, index: int) -> None:
    """Publish a run, sometimes one whose id is taken."""
    count = 100 + index + (10_000 if chance.random() < 0.15 else 0)
    workflow, run = chance.choice(WORKFLOWS), f"r{chance.randrange(max(4, index // 8))}"
    try:
        world.publish(workflow, run, count)
    except Conflict:
        world.note("publish: taken")
    except EngineError as error:
        world.note(f"publish: {error.code}")
        if not world.stormy:
            world.fail(f"publish: {error!r} without a reason")
        return
    else:
        world.note("publish: done")
    world.rows(workflow, run)


def export(world: World, chance: random.Random, index: int) -> None:
    """An export of a run or of the latest, and its file by the other service."""
    workflow, run = world.draw_run(chance)
    request = Request.draw(chance)
    first, second = chance.sample(world.servers, 2)
    answer = world.ask(first, _path(workflow, chance.choice((run, run, None)), request))
    if world.excused(answer, "export") or answer is None:
        return
    if answer.status != 200:
        world.fail(f"export: {answer.status} {answer.body.decode()}")
        return
    world.note("export: done")
    body = answer.json()
    promise = world.promised(body, request)
    _open(world, second, promise, request, body["runId"])


def _open(world: World, server: Server, promise: Promise, request: Request | None = None, run: str = "") -> None:
    """Open a URL: the bytes that were promised, or a clear end."""
    left = promise.expires - time.time()
    answer = world.request(server, world.elsewhere(promise.url, server))
    if world.excused(answer, "download") or answer is None:
        return
    if answer.status == 200:
        if left < 0:
            world.fail("a URL that is over opens")
        world.check_content(promise, answer.body, request, run)
        world.note("download: whole")
    elif answer.status == 401 and left < MARGIN_SECONDS and answer.json()["code"] == "url_expired":
        world.note("download: expired")
    elif answer.status != 404 or left > MARGIN_SECONDS:
        world.fail(f"download: {answer.status} {answer.body.decode()} with {left:.1f} s left")


def _drawn(world: World, chance: random.Random) -> Promise | None:
    """A URL, mostly one of the last."""
    count = len(world.promises)
    if not count:
        return None
    return world.promises[-1 - chance.randrange(min(count, 20 if chance.random() < 0.8 else count))]


def download(world: World, chance: random.Random, index: int) -> None:
    """A URL that was given out some time ago."""
    promise = _drawn(world, chance)
    if promise is not None:
        _open(world, chance.choice(world.servers), promise)


def part(world: World, chance: random.Random, index: int) -> None:
    """A range of a file that somebody has read before."""
    promise = _drawn(world, chance)
    whole = None if promise is None else world.content(promise)
    if promise is None or not whole:
        return
    first = chance.randrange(len(whole))
    last = min(first + chance.randrange(200_000), len(whole) - 1)
    left = promise.expires - time.time()
    server = chance.choice(world.servers)
    answer = world.request(server, world.elsewhere(promise.url, server), headers={"range": f"bytes={first}-{last}"})
    if world.excused(answer, "range") or answer is None:
        return
    if answer.status == 206:
        if answer.body != whole[first : last + 1] or left < 0:
            world.fail(f"range: wrong bytes of {promise}")
        world.note("range: done")
    elif left > MARGIN_SECONDS:
        world.fail(f"range: {answer.status} with {left:.1f} s left")


def by_key(world: World, chance: random.Random, index: int) -> None:
    """A file by the key: it is there, or was swept away after its time."""
    promise = _drawn(world, chance)
    if promise is None:
        return
    path = f"/v4/workflows/{promise.workflow}/data/exports/{promise.export_id}"
    left = promise.expires - time.time()
    answer = world.ask(chance.choice(world.servers), path)
    if world.excused(answer, "by key") or answer is None:
        return
    if answer.status == 200:
        world.check_content(promise, answer.body)
        world.note("by key: whole")
    elif answer.status == 404 and left < MARGIN_SECONDS:
        world.note("by key: swept")
    else:
        world.fail(f"by key: {answer.status} with {left:.1f} s left")


def _follow(world: World, chance: random.Random, location: str) -> dict[str, object] | None:
    """What a ticket says in the end, by either service; None if nobody could tell."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        server = chance.choice(world.servers)
        answer = world.ask(server, world.elsewhere(location, server))
        if answer is not None and answer.status == 200:
            body: dict[str, object] = answer.json()
            if "url" in body or body["phase"] in _OVER[1:]:
                return body
        elif answer is not None and not world.excused(answer, "status") and answer.status != 202:
            world.fail(f"status: {answer.status} {answer.body.decode()}")
            return None
        time.sleep(0.1)
    if not world.stormy:
        world.fail("a ticket without an end")
    return None


def later(world: World, chance: random.Random, index: int) -> None:
    """An asynchronous export, followed to its end."""
    workflow, run = world.draw_run(chance)
    # Nobody else cancels it.
    request = _alone(chance, index)
    answer = world.ask(
        chance.choice(world.servers), _path(workflow, run, request), chance.choice(("respond-async", "wait=1"))
    )
    if world.excused(answer, "later") or answer is None:
        return
    if answer.status not in (200, 202):
        world.fail(f"later: {answer.status} {answer.body.decode()}")
        return
    body = answer.json() if answer.status == 200 else _follow(world, chance, answer.headers["location"])
    if body is None:
        return
    if "url" in body:
        promise = world.promised(body, request)
        _open(world, chance.choice(world.servers), promise, request, run)
        world.note("later: done")
        return
    world.note(f"later: {body['phase']} {body['code']}")
    if not world.stormy and body["code"] != "busy":
        world.fail(f"later: {body}")


def cancel(world: World, chance: random.Random, index: int) -> None:
    """An asynchronous export that is cancelled, by either service."""
    workflow, run = world.draw_run(chance)
    request = _alone(chance, index)
    answer = world.ask(chance.choice(world.servers), _path(workflow, run, request), "respond-async")
    if world.excused(answer, "cancel") or answer is None:
        return
    location = answer.headers["location"]
    time.sleep(chance.random() * 0.05)
    server = chance.choice(world.servers)
    ended = world.request(server, world.elsewhere(location, server), "DELETE", {"x-api-key": KEY})
    if world.excused(ended, "cancel") or ended is None:
        return
    body = _follow(world, chance, location)
    if body is None:
        return
    if "url" in body:
        world.promised(body, request)
        world.note("cancel: too late")
        return
    world.note(f"cancel: {body['phase']}")
    if not world.stormy and body["phase"] != "cancelled" and body["code"] != "busy":
        world.fail(f"cancel: {body}")


def leave(world: World, chance: random.Random, index: int) -> None:
    """A client that goes away."""
    workflow, run = world.draw_run(chance)
    server = chance.choice(world.servers)
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    try:
        connection.request("GET", _path(workflow, run, _alone(chance, index)), headers={"x-api-key": KEY})
        time.sleep(chance.random() * 0.05)
    except OSError:
        if not world.stormy:
            world.fail("leave: no connection")
    finally:
        connection.close()
    world.note("left")


def sweep(world: World, chance: random.Random, index: int) -> None:
    """A sweep that leaves no time after the last URL."""
    swept = world.sweep(DOWNLOAD_GRACE)
    world.note("swept")
    for _ in range(swept.removed["exports"]):
        world.note("export swept away")


def kill(world: World, chance: random.Random, index: int) -> None:
    """SIGKILL, and a start."""
    world.kill(chance.choice(world.servers))


def fault(world: World, chance: random.Random, index: int) -> None:
    """Something goes wrong on the line to the store."""
    if world.proxy is None:
        return
    hits = chance.choice((ANY, BLOCK, COMMIT, HEAD, READ))
    world.proxy.inject(Fault(hits, chance.choice(_ACTIONS), first=chance.randrange(3), times=chance.randrange(1, 5)))
    world.note("fault set")


CALM: dict[Operation, int] = {
    export: 34, download: 14, part: 12, later: 12, by_key: 6, publish: 8, cancel: 6, leave: 6, sweep: 2
}  # fmt: skip
"""Operations by their weight."""
STORM: dict[Operation, int] = CALM | {kill: 2, fault: 12}
