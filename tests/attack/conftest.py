"""The services of the front's own tests, which are attacked here."""

from tests.web.conftest import people, people_on

__all__ = ["people", "people_on"]
