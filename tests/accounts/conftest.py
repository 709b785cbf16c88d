"""A server where everybody has to log in, and somebody who has."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import pytest

from app.accounts.sessions import Session
from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.accounts.people import auth_required, join, log_in
from tests.support import open_client


@pytest.fixture
def secured(settings: Settings) -> Settings:
    """Its settings."""
    return auth_required(settings)


@pytest.fixture
async def people_api(secured: Settings, embedder: Embedder) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it that sends nothing by itself."""
    async with open_client(secured) as client:
        yield client


@pytest.fixture
def ann(database: Database) -> UUID:
    """The account of somebody who is no admin."""
    return join(database, "ann@example.org")


@pytest.fixture
def session(database: Database, secured: Settings, ann: UUID) -> Session:
    """Her session."""
    return log_in(database, secured, ann)
