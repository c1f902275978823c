"""Why a caller is turned away: everything that ends in a 401, and the 403."""

from typing import ClassVar


class Denied(Exception):
    """Base of all refusals; ``message`` is written for the caller and never tells which part was wrong."""

    code: ClassVar[str] = "unauthorized"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Forbidden(Exception):
    """The credentials are right, and do not allow this."""

    code: ClassVar[str] = "forbidden"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
