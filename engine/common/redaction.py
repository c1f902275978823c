"""The stack of an error for operators, without the values that it was about."""

import traceback

_QUOTING = (ValueError, LookupError)
_QUOTING_PACKAGES = {"_duckdb", "duckdb", "pyarrow"}
"""What says in its text what could not be read: a cell of a row, as like as not."""


def redacted_traceback(error: BaseException) -> str:
    """The frames of an error and of what led to it; of what quotes values, the type alone."""
    return "\n".join(map(_told, reversed(_chain(error))))


def redacted_name(error: BaseException) -> str:
    """An error's type and what it says; of what quotes values, the type alone."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    quotes = isinstance(error, _QUOTING) or packages & _QUOTING_PACKAGES
    return name if quotes else f"{name}: {error}"


def _chain(error: BaseException) -> list[BaseException]:
    """The error, what led to it, and what a group of errors holds: each once."""
    found: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if one not in found:
            found.append(one)
            before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
            within = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            left += [other for other in (*within, before) if other is not None]
    return found


def _told(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__)) + redacted_name(error)
