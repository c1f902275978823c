"""Keys of a file, made and revoked while the service runs."""

import time
from pathlib import Path

from tests.helpers.server import Server
from web.auth.signed_urls import parse_signing_keys

EXPORT = "/v4/workflows/w/data/export"


def _status(server: Server, key: str) -> int:
    return server.request(EXPORT, headers={"x-api-key": key}).status


def _status_within(server: Server, key: str, wanted: int) -> bool:
    until = time.monotonic() + 10
    while (found := _status(server, key)) != wanted and time.monotonic() < until:
        time.sleep(0.1)
    return found == wanted


def test_a_key_is_made_and_revoked_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    (tmp_path / "rows.csv").write_text("n\n1\n")
    server = Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_API_KEYS="", TAILRACE_API_KEYS_FILE=str(path))
    server.publish("--workflow", "w", "--run", "r", str(tmp_path / "rows.csv"))
    done = server.command("serve")
    assert done.returncode == 1
    assert "TAILRACE_API_KEYS_FILE" in done.stderr
    first = server.command("keys", "new", "--team", "acme").stdout.strip()
    with server:
        assert _status(server, first) == 200
        second = server.command("keys", "new", "--team", "acme", "--days", "1").stdout.strip()
        stranger = server.command("keys", "new", "--team", "rival").stdout.strip()
        assert _status_within(server, second, 200)
        assert _status_within(server, stranger, 404)
        revoked = server.command("keys", "revoke", first.split("_")[1])
        assert revoked.returncode == 0
        assert _status_within(server, first, 401)
        assert _status(server, second) == 200
    rows = [line.split("\t") for line in server.command("keys", "list").stdout.splitlines()]
    assert rows[0] == ["id", "team", "state", "createdAt", "expiresAt", "revokedAt", "may"]
    assert [row[:3] for row in rows[1:]] == [
        [first.split("_")[1], "acme", "revoked"],
        [second.split("_")[1], "acme", "good"],
        [stranger.split("_")[1], "rival", "good"],
    ]
    kept = path.read_text() + server.log.read_text()
    assert not any(key in kept or key.split("_", 2)[2] in kept for key in (first, second, stranger))
    # Who it was stands in the audit line, by the id alone.
    callers = {line["caller"] for line in server.logged() if "caller" in line}
    assert callers == {key.split("_")[1] for key in (first, second, stranger)}


def test_signing_keys_are_made_without_an_api_key(tmp_path: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    made = [server.command("keys", "signing").stdout.strip() for _ in range(2)]
    rotated = parse_signing_keys(",".join(made))
    assert [key.kid for key in rotated] == [text.partition("=")[0] for text in made]
    assert len({key.secret for key in rotated}) == 2


def test_a_first_key_makes_its_file_and_says_what_a_service_still_needs(tmp_path: Path) -> None:
    server = Server(
        (str(tmp_path / "store"), {}),
        tmp_path,
        TAILRACE_API_KEYS="",
        TAILRACE_SIGNING_KEYS="",
        TAILRACE_ENV_FILE=".env",
    )
    (tmp_path / ".env").touch()
    made = server.command("keys", "new", "--team", "acme")
    assert made.stdout.count("\n") == 1
    assert (tmp_path / ".tailrace/keys.jsonl").read_text().count("\n") == 1
    (tmp_path / ".env").write_text(
        "TAILRACE_API_KEYS_FILE=.tailrace/keys.jsonl\n"
        f"TAILRACE_SIGNING_KEYS={server.command('keys', 'signing').stdout}"
        "LD_LIBRARY_PATH=/elsewhere\n"
    )
    for needed in ("TAILRACE_API_KEYS_FILE=.tailrace/keys.jsonl", "TAILRACE_SIGNING_KEYS: `tailrace keys signing`"):
        assert needed in made.stderr
    # An empty variable is one that is set: the file does not replace it.
    for name in ("TAILRACE_API_KEYS_FILE", "TAILRACE_SIGNING_KEYS"):
        server.environment.pop(name, None)
    again = server.command("keys", "new", "--days", "1")
    assert "Read 2 settings from .env." in again.stderr
    assert "for team acme" in again.stderr
    assert "the service" not in again.stderr
    (tmp_path / "rows.csv").write_text("n\n1\n")
    # The only team that there is gets the workflow.
    published = server.command("publish", "--workflow", "w", "--run", "r", "rows.csv")
    assert "w/r of team acme" in published.stdout
    with server:
        assert _status(server, made.stdout.strip()) == 200
        said = {line["event"]: line for line in server.logged()}
        assert said["settings file"]["names"] == ["TAILRACE_API_KEYS_FILE", "TAILRACE_SIGNING_KEYS"]
        assert said["listening"] | {"time": ""} == {
            "time": "",
            "level": "info",
            "event": "listening",
            "url": server.base,
            "results": server.environment["TAILRACE_RESULTS"],
            "exports": server.environment["TAILRACE_EXPORTS"],
            "apiKeys": 2,
            "tokens": False,
            "signingKeys": 1,
        }
    assert server.command("keys", "new", "--team", "rival").returncode == 0
    assert len(server.command("keys", "list").stdout.splitlines()) == 1 + 3
    unclear = server.command("keys", "new")
    assert (unclear.returncode, "--team acme or --team rival" in unclear.stderr) == (2, True)
    unclear = server.command("publish", "--workflow", "other", "--run", "r", "rows.csv")
    assert (unclear.returncode, "--team acme or --team rival" in unclear.stderr) == (2, True)
    assert "w/r2 of team acme" in server.command("publish", "--workflow", "w", "--run", "r2", "rows.csv").stdout


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    server = Server((str(tmp_path / "store"), {}), tmp_path)
    for arguments, told in (
        (("keys", "list"), "TAILRACE_API_KEYS_FILE"),
        (("keys", "revoke", "00000000"), "TAILRACE_API_KEYS_FILE"),
        (("keys", "list", "--file", "no-such-file"), "no-such-file cannot be read"),
        (("keys", "revoke", "00000000", "--file", str(tmp_path / "keys.jsonl")), "cannot be read"),
        (("keys", "new", "--team", "../x"), "is not an id"),
    ):
        done = server.command(*arguments)
        assert done.returncode in (1, 2), arguments
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    server.command("keys", "new", "--team", "acme", "--file", str(tmp_path / "keys.jsonl"))
    done = server.command("keys", "revoke", "00000000", "--file", str(tmp_path / "keys.jsonl"))
    assert (done.returncode, "there is no key" in done.stderr) == (1, True)
