"""What an index knows of documents follows PostgreSQL, too, and filters see it."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from qdrant_client import AsyncQdrantClient

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Database
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.embedding import Embedder
from app.knowledge.follower import Follower
from app.knowledge.index_payload import readers_of
from app.knowledge.index_source import read_spec
from app.knowledge.server_index import ServerIndex
from app.knowledge.vector_index import IndexFilter, VectorIndex
from tests.conftest import Ingest
from tests.knowledge.index_support import ENCODER
from tests.support import execute, fetch

# Qdrant's local mode says so once per process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

GREEN = "# Green\n\n" + "Green tea is brewed at 80 degrees. " * 50
ICE = "# Ice\n\nTea with ice is cold.\n"


def tea(degrees: int) -> str:
    """A document whose chunks are the same but for the last."""
    return f"{GREEN}\n\n# Black\n\n" + f"Black tea is brewed at {degrees} degrees. " * 20


@pytest.fixture(params=["edge", "local"])
async def follower(
    request: pytest.FixtureRequest, database: Database, embedder: Embedder, tmp_path: Path
) -> AsyncIterator[Follower]:
    """A process with an index that follows."""
    spec = await database.run(read_spec, embedder.model_name, embedder.dimensions)
    if request.param == "edge":
        index: VectorIndex = await EdgeIndex.open(
            tmp_path / "qdrant", spec, database_url=database.url
        )
    else:
        index = await ServerIndex.open(AsyncQdrantClient(":memory:"), "brag", spec)
    async with aclosing(index), aclosing(Follower(database, index, ENCODER)) as follower:
        await follower.start()
        yield follower


async def found(follower: Follower, **conditions: Any) -> set[UUID]:
    """The chunks about tea that fit a filter, when all changes are applied."""
    await follower.caught_up()
    query = ENCODER.encode_query("tea")
    where = IndexFilter(**conditions)
    legs = await follower._index.search(None, query, limit=50, where=where)
    return {hit.chunk_id for hit in legs.sparse}


def stored(database: Database, path: str) -> set[UUID]:
    """A document's chunks."""
    statement = (
        "SELECT CAST(chunk.id AS text) FROM chunk"
        f" JOIN document ON document.id = document_id WHERE path = '{path}'"
    )
    return {UUID(row[0]) for row in fetch(database.url, statement)}


def updated_at(database: Database, path: str) -> datetime:
    [(found,)] = fetch(database.url, f"SELECT updated_at FROM document WHERE path = '{path}'")
    assert isinstance(found, datetime)
    return found


def changes(database: Database) -> int:
    [(number,)] = fetch(database.url, "SELECT count(*) FROM index_change")
    return int(number)


async def test_chunks_that_stay_the_same_get_the_new_time_of_their_document(
    ingest: Ingest, database: Database, follower: Follower
) -> None:
    await ingest({"hot/tea.md": tea(100), "ice.md": ICE})
    first = stored(database, "hot/tea.md")
    both = first | stored(database, "ice.md")
    assert await found(follower, updated_from=updated_at(database, "hot/tea.md")) == both

    await ingest({"hot/tea.md": tea(95)})

    time, second = updated_at(database, "hot/tea.md"), stored(database, "hot/tea.md")
    assert first & second, "nothing stayed the same"
    assert await found(follower, updated_from=time) == second
    assert await found(follower, updated_before=time) == stored(database, "ice.md")
    assert await found(follower, updated_before=time, path_prefixes=("hot",)) == set()


async def test_a_document_that_is_deleted_fits_no_filter(
    ingest: Ingest, database: Database, follower: Follower
) -> None:
    await ingest({"hot/tea.md": tea(100), "ice.md": ICE})
    await ingest({"hot/tea.md": None})

    assert await found(follower, path_prefixes=("hot",)) == set()
    assert await found(follower) == stored(database, "ice.md")


@pytest.mark.parametrize(
    "change", ["path = 'cold/tea.md'", "updated_at = '2020-01-01'", "updated_at = DEFAULT"]
)
async def test_no_statement_changes_a_document_unnoticed(
    ingest: Ingest, database: Database, follower: Follower, change: str
) -> None:
    await ingest({"hot/tea.md": tea(100)})
    chunks = stored(database, "hot/tea.md")
    assert await found(follower, path_prefixes=("hot",)) == chunks

    execute(database.url, f"UPDATE document SET {change}")

    [(path, time)] = fetch(database.url, "SELECT path, updated_at FROM document")
    folder = path.partition("/")[0]
    until = time + timedelta(microseconds=1)
    where = {"path_prefixes": (folder,), "updated_from": time, "updated_before": until}
    assert await found(follower, **where) == chunks


READERS = readers_of(UUID(int=7))


async def test_who_may_read_a_source_is_soon_known_to_the_index(
    ingest: Ingest, database: Database, follower: Follower
) -> None:
    await ingest({"hot/tea.md": tea(100), "ice.md": ICE})
    everything = stored(database, "hot/tea.md") | stored(database, "ice.md")
    assert await found(follower, readers=READERS) == set()

    for visibility, of_others in (("shared", everything), ("private", set())):
        execute(database.url, f"UPDATE source SET visibility = '{visibility}'")
        assert await found(follower, readers=READERS) == of_others
        assert await found(follower, readers=readers_of(LOCAL_ACCOUNT)) == everything


async def test_what_is_stored_while_its_source_is_made_private_is_private(
    ingest: Ingest, database: Database, follower: Follower
) -> None:
    await ingest({"hot/tea.md": tea(100)})
    execute(database.url, "UPDATE source SET visibility = 'shared'")
    await ingest({"ice.md": ICE})
    assert await found(follower, readers=READERS) >= stored(database, "ice.md")

    execute(database.url, "UPDATE source SET visibility = 'private'")
    await ingest({"ice.md": ICE + "Very cold tea.\n"})

    assert await found(follower, readers=READERS) == set()


async def test_a_source_that_is_changed_otherwise_is_not_written_anew(
    ingest: Ingest, database: Database
) -> None:
    await ingest({"tea.md": tea(100)})
    before = changes(database)

    execute(database.url, "UPDATE source SET name = 'Tea', visibility = visibility")

    assert changes(database) == before


async def test_a_document_that_was_met_again_unchanged_is_not_written_anew(
    ingest: Ingest, database: Database
) -> None:
    await ingest({"tea.md": tea(100)})
    before = changes(database)

    touched = await database.run(
        lambda queries: queries.touch_document(
            source_id=fetch(database.url, "SELECT CAST(id AS text) FROM source")[0][0],
            path="tea.md",
            version="2",
            url="https://example.com/tea",
            state="{}",
        )
    )
    execute(database.url, "UPDATE document SET title = 'Tea', updated_at = updated_at")

    assert touched == 1
    assert changes(database) == before
