"""Old changes go; whoever would have needed them notices."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.core.database import Database
from app.knowledge import compaction
from app.knowledge.compaction import compact
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.follower import Follower
from app.knowledge.index_source import read_spec
from tests.knowledge.index_support import DIMENSIONS, ENCODER, MODEL, KnowledgeBase, ids_in, until

HOUR = 1 / 24


@pytest.fixture
def knowledge(database_url: str) -> Iterator[KnowledgeBase]:
    """Chunks in PostgreSQL; none yet."""
    with KnowledgeBase(database_url) as knowledge:
        yield knowledge


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the replicas are."""
    return tmp_path / "qdrant"


@asynccontextmanager
async def following(database: Database, root: Path) -> AsyncIterator[tuple[EdgeIndex, Follower]]:
    """A replica in this process."""
    spec = await database.run(read_spec, MODEL, DIMENSIONS)
    index = await EdgeIndex.open(root, spec, database_url=database.url)
    follower = Follower(database, index, ENCODER)
    try:
        await follower.start()
        yield index, follower
    finally:
        await follower.aclose()
        await index.aclose()


def age(knowledge: KnowledgeBase, days: float) -> None:
    """Let time pass."""
    knowledge.execute(
        "UPDATE index_change SET created_at = created_at - make_interval(secs => %s)",
        (days * 86_400,),
    )


def generations(root: Path) -> list[Path]:
    return list(root.glob("0/*-*"))


def changes(knowledge: KnowledgeBase) -> int:
    """Count the changes that are kept."""
    [(count,)] = knowledge.execute("SELECT count(*) FROM index_change")
    return int(count)


async def settle(database: Database, knowledge: KnowledgeBase) -> None:
    """Wait until no transaction of another test holds up these changes."""

    def settled() -> bool:
        [(waiting,)] = knowledge.execute(
            "SELECT count(*) FROM index_change WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())"
        )
        return bool(waiting == 0)

    await until(settled)


async def compact_all(database: Database, knowledge: KnowledgeBase) -> None:
    """What the daily maintenance does."""
    await settle(database, knowledge)
    while await database.run(compact):
        pass


async def test_changes_of_the_last_week_are_kept(
    database: Database, knowledge: KnowledgeBase
) -> None:
    for text in ("one", "two", "three"):
        knowledge.add([text])
    age(knowledge, 6.9)

    await compact_all(database, knowledge)

    assert changes(knowledge) == 3


async def test_older_changes_go_but_for_the_last_transaction_of_them(
    database: Database, knowledge: KnowledgeBase
) -> None:
    for text in ("one", "two"):
        knowledge.add([text])
    knowledge.add(["three", "four"])
    age(knowledge, 7.1)
    knowledge.add(["new"])

    await compact_all(database, knowledge)

    assert changes(knowledge) == 3


async def test_more_than_a_number_of_changes_are_kept_for_a_day_only(
    database: Database, knowledge: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "KEEP_ROWS", 3)
    for number in range(10):
        knowledge.add([f"text {number}"])
    age(knowledge, 23 * HOUR)
    await compact_all(database, knowledge)
    assert changes(knowledge) == 10

    age(knowledge, 2 * HOUR)
    await compact_all(database, knowledge)

    # Those, and the transaction before them, in which an index may stand.
    assert changes(knowledge) == 5


async def test_no_more_than_a_slice_goes_at_once(
    database: Database, knowledge: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SLICE", 4)
    for number in range(10):
        knowledge.add([f"text {number}"])
    age(knowledge, 8)
    await settle(database, knowledge)

    removed = [await database.run(compact) for _ in range(4)]

    assert removed == [4, 4, 1, 0]


async def test_of_several_changes_of_a_chunk_only_the_last_is_kept(
    database: Database, knowledge: KnowledgeBase
) -> None:
    for _ in range(3):
        ids = knowledge.add(["again and again"])
        knowledge.remove(ids)
    knowledge.add(["once"])
    age(knowledge, 25 * HOUR)

    await compact_all(database, knowledge)

    assert changes(knowledge) == 2


async def test_changes_of_today_are_not_thinned_out(
    database: Database, knowledge: KnowledgeBase
) -> None:
    knowledge.remove(knowledge.add(["text"]))

    await compact_all(database, knowledge)

    assert changes(knowledge) == 2


async def test_a_replica_that_was_away_for_too_long_is_built_anew(
    database: Database, knowledge: KnowledgeBase, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deleted = knowledge.add(["to be deleted"])
    async with following(database, root):
        pass
    knowledge.remove(deleted)
    for number in range(3):
        knowledge.add([f"meanwhile {number}"])
    age(knowledge, 8)
    await compact_all(database, knowledge)

    async with following(database, root) as (index, _):
        assert ids_in(index) == knowledge.ids()

    assert "too far behind" in caplog.text


async def test_a_replica_that_only_lags_while_it_runs_notices_too(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    gone = knowledge.add(["gone"])
    async with following(database, root) as (index, follower):
        # As if it had been kept from following, by a full disk for instance.
        position = await index.position()
        assert position is not None
        knowledge.execute("ALTER TABLE index_change RENAME TO hidden")
        await until(lambda: follower.status.error is not None)
        knowledge.execute("DELETE FROM hidden")
        knowledge.execute("ALTER TABLE chunk DISABLE TRIGGER ALL")
        knowledge.remove(gone)
        kept = knowledge.add(["kept"])
        knowledge.execute("ALTER TABLE chunk ENABLE TRIGGER ALL")
        knowledge.execute(
            "INSERT INTO index_compaction VALUES (%s, CAST(%s AS xid8))",
            (index.spec.database, str(position.xid + 1)),
        )
        knowledge.execute("ALTER TABLE hidden RENAME TO index_change")
        await until(lambda: ids_in(index) == set(kept))


async def test_a_restart_after_a_long_quiet_time_rebuilds_nothing(
    database: Database, knowledge: KnowledgeBase, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        knowledge.add([f"text {number}"])
    async with following(database, root):
        pass
    [generation] = generations(root)
    age(knowledge, 30)
    await compact_all(database, knowledge)
    assert changes(knowledge) == 1

    async with following(database, root) as (index, follower):
        knowledge.add(["new"])
        await follower.caught_up()
        assert ids_in(index) == knowledge.ids()

    assert generations(root) == [generation]
    assert caplog.records == []


async def test_what_another_cluster_noted_counts_for_nothing_in_a_restored_dump(
    database: Database, knowledge: KnowledgeBase, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    knowledge.execute("INSERT INTO index_compaction VALUES ('1234/5', '4000000000')")
    knowledge.execute(
        "INSERT INTO index_change (xid, chunk_id) VALUES ('4000000000', %s)", (uuid.uuid4(),)
    )
    knowledge.add(["text"])
    await until(
        lambda: bool(
            knowledge.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot()) > min(xid) FROM index_change"
            )[0][0]
        )
    )
    await database.run(compact)
    assert changes(knowledge) == 1

    async with following(database, root) as (index, _):
        assert ids_in(index) == knowledge.ids()

    assert caplog.records == []
