"""A server where everybody has to log in, and somebody who has."""

from tests.accounts.conftest import ann, people_api, secured, session

__all__ = ["ann", "people_api", "secured", "session"]
