"""The team that a command works for where none is given."""

import click

from engine.catalog.catalog import ResultStore
from web.auth.api_keys import parse_api_keys
from web.auth.key_file import KeyFile
from web.settings import AuthSettings, MissingSetting

_NO_TEAM = "default"
"""The team of a store that has had no other one."""


def publishing_team(workflow_id: str, results: ResultStore) -> str:
    """The owner of the workflow, else the only team that there is.

    Raises UsageError where there are several, since rows would be shown to the wrong one.
    """
    existing = results.workflow(workflow_id)
    return existing.team if existing is not None else only_team({one.team for one in results.workflows()})


def only_team(seen: set[str]) -> str:
    """The one team among ``seen`` and those of the configured keys; ``default`` if there is none.

    Raises UsageError if there are several.
    """
    teams = sorted(seen | _teams_of_keys(AuthSettings()))
    if len(teams) > 1:
        raise click.UsageError(f"There are several teams: add --team {' or --team '.join(teams)}.")
    return teams[0] if teams else _NO_TEAM


def _teams_of_keys(auth: AuthSettings) -> set[str]:
    teams: set[str] = set()
    try:
        if auth.api_keys:
            teams.update(parse_api_keys(auth.api_keys).teams)
        if auth.api_keys_file is not None and auth.api_keys_file.exists():
            teams.update(KeyFile(auth.api_keys_file).teams)
    except (OSError, ValueError) as error:
        raise MissingSetting(f"TAILRACE_API_KEYS or TAILRACE_API_KEYS_FILE cannot be read: {error}.") from error
    return teams
