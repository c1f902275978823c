"""Errors of authentication (401) and authorisation (403)."""

from typing import ClassVar


class Unauthenticated(Exception):
    """Base of everything answered with a 401. ``message`` never reveals to the caller which part was wrong."""

    code: ClassVar[str] = "unauthorized"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Forbidden(Exception):
    """The credentials are valid but do not allow the request."""

    code: ClassVar[str] = "forbidden"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
