"""Processes that share one index: one of them writes, and another takes over when it is gone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

import pytest
from qdrant_client import AsyncQdrantClient, models

from app.core.database import Database
from app.core.exceptions import IndexUnavailable
from app.knowledge import follower as follower_module
from app.knowledge.follower import Follower
from app.knowledge.index_source import read_spec
from app.knowledge.leadership import Leadership
from app.knowledge.server_index import ServerIndex
from tests.knowledge.index_support import (
    DIMENSIONS,
    ENCODER,
    MODEL,
    KnowledgeBase,
    until,
    vector,
)

# Qdrant's local mode says so once per process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

COLLECTION = "brag"


@dataclass(frozen=True)
class Member:
    """What a process has of the shared index."""

    index: ServerIndex
    follower: Follower


class Team:
    """Processes that share one collection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.client = AsyncQdrantClient(":memory:")
        self._stack = AsyncExitStack()
        self._stack.push_async_callback(self.client.close)

    async def join(self) -> Member:
        """Start another one."""
        spec = await self._database.run(read_spec, MODEL, DIMENSIONS)
        index = await ServerIndex.open(self.client, COLLECTION, spec)
        follower = Follower(self._database, index, ENCODER)
        self._stack.push_async_callback(follower.aclose)
        await follower.start()
        return Member(index, follower)

    async def ids(self) -> set[UUID]:
        """Every point of the collection."""
        records, _ = await self.client.scroll(COLLECTION, limit=1_000_000)
        return {UUID(str(record.id)) for record in records}

    async def holds(self, ids: set[UUID]) -> None:
        """Wait until the collection has just these points."""
        async with asyncio.timeout(60):
            while await self.ids() != ids:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Stop all."""
        await self._stack.aclose()


@pytest.fixture
async def team(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Team]:
    """No process yet; they look often."""
    monkeypatch.setattr(follower_module, "POLL_SEC", 0.05)
    team = Team(database)
    yield team
    await team.close()


@pytest.fixture
def knowledge(database_url: str) -> Iterator[KnowledgeBase]:
    """Chunks in PostgreSQL."""
    with KnowledgeBase(database_url) as knowledge:
        knowledge.add(["before"])
        yield knowledge


async def test_one_writes_and_all_can_search(team: Team, knowledge: KnowledgeBase) -> None:
    first, second = await team.join(), await team.join()
    assert first.follower.status.leading
    assert not second.follower.status.leading
    [chunk_id] = knowledge.add(["all about redis"])
    for member in (first, second):
        await member.follower.caught_up()
        legs = await member.index.search(
            vector("all about redis"), ENCODER.encode_query("redis"), limit=1
        )
        assert [hit.chunk_id for leg in legs for hit in leg] == [chunk_id, chunk_id]
    assert await team.ids() == knowledge.ids()


async def test_another_takes_over_when_the_one_that_writes_stops(
    team: Team, knowledge: KnowledgeBase
) -> None:
    first, second = await team.join(), await team.join()
    await first.follower.aclose()
    knowledge.remove(knowledge.ids())
    knowledge.add(["after"])
    await second.follower.caught_up()
    assert second.follower.status.leading
    assert await team.ids() == knowledge.ids()


async def test_who_loses_the_lock_between_reading_and_writing_does_not_write(
    team: Team, knowledge: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await team.join()
    before = await team.ids()
    terms = iter([member.follower._term])

    async def lost(leadership: Leadership) -> int | None:
        return next(terms, None)

    with monkeypatch.context() as patch:
        patch.setattr(Leadership, "term", lost)
        knowledge.add(["after"])
        await until(lambda: not member.follower.status.leading)
        assert await team.ids() == before
    await member.follower.caught_up()
    assert await team.ids() == knowledge.ids()


async def test_a_lock_that_is_lost_again_and_again_loses_nothing(
    team: Team, knowledge: KnowledgeBase
) -> None:
    members = [await team.join() for _ in range(3)]
    for round_ in range(5):
        knowledge.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        knowledge.add([f"round {round_}"])
        for member in members:
            await member.follower.caught_up()
        assert await team.ids() == knowledge.ids()
        await until(lambda: sum(member.follower.status.leading for member in members) == 1)


async def test_a_new_leader_applies_recent_changes_a_second_time(
    team: Team, knowledge: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something that the last leader had under way may have undone them."""
    monkeypatch.setattr(follower_module, "REPEAT_AFTER_SEC", 1.0)
    first, second = await team.join(), await team.join()
    await first.follower.aclose()
    [stored] = knowledge.add(["stored"])
    await second.follower.caught_up()
    assert second.follower.status.leading
    await team.client.delete(COLLECTION, models.PointIdsList(points=[str(stored)]))
    await team.holds(knowledge.ids())


async def test_a_collection_that_vanishes_is_built_again(
    team: Team, knowledge: KnowledgeBase
) -> None:
    first, second = await team.join(), await team.join()
    await team.client.delete_collection(COLLECTION)
    knowledge.add(["after"])
    for member in (first, second):
        await member.follower.caught_up()
        await until(lambda member=member: member.follower.status.position is not None)  # type: ignore[misc]
        await member.index.search(vector("x"), ENCODER.encode_query("x"), limit=1)
    assert await team.ids() == knowledge.ids()


async def test_a_collection_that_was_restored_from_a_backup_catches_up(
    team: Team, knowledge: KnowledgeBase
) -> None:
    member = await team.join()
    backup = await member.index.position()
    assert backup is not None
    [lost] = knowledge.add(["lost"])
    await member.follower.caught_up()
    await team.client.delete(COLLECTION, models.PointIdsList(points=[str(lost)]))
    await team.client.update_collection(COLLECTION, metadata={"position": list(backup)})
    await team.holds(knowledge.ids())


async def test_points_that_got_lost_are_noticed_when_another_begins_to_write(
    team: Team, knowledge: KnowledgeBase
) -> None:
    first, second = await team.join(), await team.join()
    lost = str(next(iter(knowledge.ids())))
    await team.client.delete(COLLECTION, models.PointIdsList(points=[lost]))
    await first.follower.aclose()
    await until(lambda: second.follower.status.leading)
    await team.holds(knowledge.ids())


async def test_a_stranger_in_the_collections_place_is_left_alone(
    team: Team, knowledge: KnowledgeBase
) -> None:
    member = await team.join()
    await team.client.delete_collection(COLLECTION)
    await team.client.create_collection(
        COLLECTION, models.VectorParams(size=3, distance=models.Distance.DOT)
    )
    knowledge.add(["after"])
    await until(lambda: "not made by bRAG" in (member.follower.status.error or ""))
    with pytest.raises(IndexUnavailable):
        await member.index.search(vector("x"), ENCODER.encode_query("x"), limit=1)
    assert (await team.client.count(COLLECTION)).count == 0
