"""Tracebacks for operators, without values of rows."""

import traceback

_QUOTING = (ValueError, LookupError)
_QUOTING_PACKAGES = {"_duckdb", "duckdb", "pyarrow"}
"""Exceptions whose message may quote the value that could not be read, which can be a cell of a row."""


def redacted_traceback(error: BaseException) -> str:
    """The traceback of an error and of its causes, with `redacted_name` in place of their messages."""
    return "\n".join(map(_frames_and_name, reversed(_chain(error))))


def redacted_name(error: BaseException) -> str:
    """An error's type and message, or its type alone if the message may quote values."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    quotes = isinstance(error, _QUOTING) or packages & _QUOTING_PACKAGES
    return name if quotes else f"{name}: {error}"


def _chain(error: BaseException) -> list[BaseException]:
    """The error, its causes and the members of exception groups, each once."""
    chain: list[BaseException] = []
    pending = [error]
    while pending:
        one = pending.pop()
        if one not in chain:
            chain.append(one)
            cause = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
            members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            pending += [other for other in (*members, cause) if other is not None]
    return chain


def _frames_and_name(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__)) + redacted_name(error)
