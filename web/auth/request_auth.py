"""Authentication of a request, in the event loop or in a thread."""

from functools import partial

import anyio.to_thread
from starlette.types import Scope

from web.auth import not_found_delay
from web.auth.authenticator import Authenticator
from web.auth.principal import Principal
from web.http import thread_limits
from web.telemetry.log_context import add_log_fields

_MAX_CALLER_LENGTH = 128
"""Characters of ``caller`` in the log; the ``sub`` of a token may be long."""


def authenticate_blocking(scope: Scope, authenticator: Authenticator, *, bearer_keys: bool = False) -> Principal:
    """Return the caller and add it to the log. May wait for a file or a host. Raises InvalidCredentials."""
    principal = authenticator.authenticate(scope["headers"], bearer_keys=bearer_keys)
    add_log_fields(scope, team=principal.team, caller=principal.caller[:_MAX_CALLER_LENGTH])
    not_found_delay.mark_start(scope)
    return principal


async def authenticate_scope(scope: Scope, authenticator: Authenticator, *, bearer_keys: bool = False) -> Principal:
    """Return the caller; runs in a thread if authentication may have to wait. Raises InvalidCredentials."""
    work = partial(authenticate_blocking, scope, authenticator, bearer_keys=bearer_keys)
    if authenticator.waits(scope["headers"], bearer_keys=bearer_keys):
        return await anyio.to_thread.run_sync(work, limiter=thread_limits.CHECKS)
    return work()
