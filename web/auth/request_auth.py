"""Who sends a request, in the event loop or in a thread."""

import anyio.to_thread
from starlette.types import Scope

from web.auth import not_found_delay
from web.auth.authenticator import Authenticator
from web.auth.principal import Principal
from web.http import thread_limits
from web.telemetry.log_context import note

_LONGEST_CALLER = 128
"""Characters of it in the log: a subject comes from a token, which may be long."""


def recognise(scope: Scope, authenticator: Authenticator) -> Principal:
    """The caller, whom the log is told of. It may wait for a file or a host. Raises Unauthorized."""
    principal = authenticator.authenticate(scope["headers"])
    note(scope, team=principal.team, caller=principal.caller[:_LONGEST_CALLER])
    not_found_delay.asked(scope)
    return principal


async def recognised(scope: Scope, authenticator: Authenticator) -> Principal:
    """`recognise` for the event loop: in a thread only if there may be something to wait for. Raises Unauthorized."""
    if authenticator.waits(scope["headers"]):
        return await anyio.to_thread.run_sync(recognise, scope, authenticator, limiter=thread_limits.CHECKS)
    return recognise(scope, authenticator)
