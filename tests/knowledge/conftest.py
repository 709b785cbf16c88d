"""A worker beside the API."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from app.core.database import Database
from settings import Settings
from tests.knowledge.people import People, open_people
from tests.knowledge.working import working
from tests.support import open_client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that sources may lie in."""
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


@pytest.fixture
def ingest_settings(settings: Settings, folder: Path) -> Settings:
    """Settings that allow it."""
    return settings.model_copy(update={"ingest_roots": [folder], "worker_document_concurrency": 1})


@pytest.fixture
async def ingest_api(ingest_settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of bRAG, without a worker."""
    async with open_client(ingest_settings) as client:
        yield client


@pytest.fixture
async def people(ingest_settings: Settings, database_url: str) -> AsyncIterator[People]:
    """Three accounts of a bRAG without a worker."""
    async with open_people(ingest_settings, database_url) as people:
        yield people


@pytest.fixture
async def worker(ingest_settings: Settings, database: Database) -> AsyncIterator[None]:
    """A worker that does what the API queues."""
    async with working(ingest_settings, database):
        yield
