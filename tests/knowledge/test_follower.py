"""An embedded index follows PostgreSQL, whatever happens in between."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.core.database import Database
from app.core.exceptions import IndexUnavailable
from app.knowledge import edge_builder, edge_index, follower
from app.knowledge.edge_generation import NOTE
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.follower import Follower
from app.knowledge.index_source import read_spec
from app.knowledge.vector_index import Position
from settings import ROOT
from tests.knowledge.index_support import (
    DIMENSIONS,
    ENCODER,
    MODEL,
    KnowledgeBase,
    ids_in,
    until,
    vector,
)

StartProcess = Callable[..., Awaitable[Process]]


@pytest.fixture
def knowledge(database_url: str) -> Iterator[KnowledgeBase]:
    """Chunks in PostgreSQL; none yet."""
    with KnowledgeBase(database_url) as knowledge:
        yield knowledge


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the replicas are."""
    return tmp_path / "qdrant"


@pytest.fixture(autouse=True)
def _optimise_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are over before a child would be started."""
    monkeypatch.setattr(edge_index, "FIRST_BUILD_AFTER_SEC", 0)


@asynccontextmanager
async def following(
    database: Database, root: Path, *, optimise_after: int = 1_000_000
) -> AsyncIterator[tuple[EdgeIndex, Follower]]:
    """A replica in this process."""
    spec = await database.run(read_spec, MODEL, DIMENSIONS)
    index = await EdgeIndex.open(
        root, spec, database_url=database.url, optimise_after=optimise_after
    )
    follower = Follower(database, index, ENCODER)
    try:
        await follower.start()
        yield index, follower
    finally:
        await follower.aclose()
        await index.aclose()


@pytest.fixture
async def start_process(database_url: str, root: Path) -> AsyncIterator[StartProcess]:
    """Start a replica in a process of its own."""
    processes = []

    async def start(*arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.knowledge.follower_process", str(root), *arguments),
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": database_url},
            stdin=PIPE,
            stdout=PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def generations(root: Path, pattern: str = "") -> list[Path]:
    """The replicas' folders, or the files in them."""
    return list(root.glob(f"0/*-*/{pattern}"))


async def search(index: EdgeIndex, text: str) -> None:
    """Search for anything; it must work."""
    assert (await index.search(vector(text), ENCODER.encode_query(text), limit=5)).dense


# Following


async def test_a_new_replica_holds_every_chunk_when_it_has_started(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    knowledge.add(f"chunk {n}" for n in range(600))
    async with following(database, root) as (index, _):
        assert ids_in(index) == knowledge.ids()


async def test_an_empty_knowledge_base_answers_with_nothing(database: Database, root: Path) -> None:
    async with following(database, root) as (index, _):
        assert await index.search(vector("x"), ENCODER.encode_query("x"), limit=5) == ([], [])


async def test_what_was_committed_is_found(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    async with following(database, root) as (index, follower):
        first, second = knowledge.add(["all about redis", "all about kafka"])
        await follower.caught_up()
        for text, expected in (("redis", first), ("kafka", second)):
            legs = await index.search(
                vector(f"all about {text}"), ENCODER.encode_query(text), limit=1
            )
            assert [hit.chunk_id for leg in legs for hit in leg] == [expected, expected]


async def test_a_commit_is_applied_without_anybody_asking(
    database: Database, knowledge: KnowledgeBase, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "POLL_SEC", 3600)
    async with following(database, root) as (index, _):
        added = set(knowledge.add(["news"]))
        # Not the position: another test's open transaction may hold that back.
        await until(lambda: ids_in(index) == added)


async def test_a_removed_chunk_leaves_the_index(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    gone, kept = knowledge.add(["gone", "kept"])
    async with following(database, root) as (index, follower):
        knowledge.remove([gone])
        await follower.caught_up()
        assert ids_in(index) == {kept}


async def test_a_chunk_that_is_removed_and_stored_again_is_in_the_index(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    ids = knowledge.add(["text"])
    async with following(database, root) as (index, follower):
        knowledge.remove(ids)
        await follower.caught_up()
        knowledge.add(["text"])
        await follower.caught_up()
        assert ids_in(index) == set(ids)
        knowledge.remove(ids)
        knowledge.add(["text"])
        await follower.caught_up()
        assert ids_in(index) == set(ids)


async def test_a_vector_of_another_model_is_not_mixed_in(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    mine, _ = knowledge.add(["mine", "other"])
    knowledge.execute("UPDATE embedding SET model = 'another' WHERE content_hash = sha256('other')")
    async with following(database, root) as (index, _):
        assert ids_in(index) == {mine}


@pytest.mark.parametrize(
    "broken",
    [b"", bytes(1), bytes(4 * DIMENSIONS - 4), bytes(8 * DIMENSIONS)],
    ids=["empty", "one byte", "a number less", "two vectors"],
)
async def test_a_broken_vector_does_not_keep_the_others_out(
    database: Database, knowledge: KnowledgeBase, root: Path, broken: bytes
) -> None:
    fine, _ = knowledge.add(["fine", "broken"])
    knowledge.execute(
        "UPDATE embedding SET vector = %s WHERE content_hash = sha256('broken')", (broken,)
    )
    async with following(database, root) as (index, follower):
        assert ids_in(index) == {fine}
        [later] = knowledge.add(["later"])
        await follower.caught_up()
        assert ids_in(index) == {fine, later}


async def test_a_replica_goes_on_where_it_left_off(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    knowledge.add(["before"])
    async with following(database, root):
        [generation] = generations(root)
    knowledge.add(["meanwhile"])
    async with following(database, root) as (index, _):
        assert generations(root) == [generation]
        assert ids_in(index) == knowledge.ids()


async def test_four_processes_have_a_replica_each(
    knowledge: KnowledgeBase, start_process: StartProcess
) -> None:
    knowledge.add(f"before {n}" for n in range(300))
    processes = [await start_process() for _ in range(4)]
    slots = [await process.stdout.readline() for process in processes if process.stdout]
    assert sorted(slots) == [b"0\n", b"1\n", b"2\n", b"3\n"]
    knowledge.remove(list(knowledge.ids())[:100])
    knowledge.add(f"after {n}" for n in range(300))
    for process in processes:
        output, _ = await process.communicate(b"")
        assert set(json.loads(output)) == set(map(str, knowledge.ids()))


# Transactions that end in another order than they began


async def test_a_transaction_that_began_first_and_ends_last_is_not_lost(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    async with following(database, root) as (index, follower):
        with knowledge.transaction() as slow:
            knowledge.add(["fast"])
            await follower.caught_up()
            knowledge.add(["slow"], slow)
            slow.commit()
        await follower.caught_up()
        assert len(ids_in(index)) == 2
        assert ids_in(index) == knowledge.ids()


async def test_a_long_transaction_holds_up_nobody_else(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    async with following(database, root) as (index, follower):
        with knowledge.transaction():
            for number in range(3):
                knowledge.add([f"fast {number}"])
                await follower.caught_up()
                assert ids_in(index) == knowledge.ids()


async def test_a_restart_during_a_long_transaction_loses_nothing(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    with knowledge.transaction() as slow:
        async with following(database, root) as (_, follower):
            knowledge.add(["fast"])
            await follower.caught_up()
        knowledge.add(["slow"], slow)
        slow.commit()
    async with following(database, root) as (index, _):
        assert len(ids_in(index)) == 2


async def test_a_transaction_that_is_rolled_back_leaves_nothing(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    async with following(database, root) as (index, follower):
        with knowledge.transaction() as undecided:
            knowledge.add(["undecided"], undecided)
            knowledge.add(["sure"])
            await follower.caught_up()
            undecided.rollback()
        knowledge.add(["later"])
        await follower.caught_up()
        assert ids_in(index) == knowledge.ids()


# What breaks


async def test_a_process_killed_before_it_could_remember_applies_the_changes_again(
    database: Database, knowledge: KnowledgeBase, root: Path, start_process: StartProcess
) -> None:
    ids = knowledge.add(f"before {n}" for n in range(300))
    async with following(database, root):
        pass
    knowledge.remove(ids[:100])
    knowledge.add(f"after {n}" for n in range(300))
    dying = await start_process("--die")
    assert await dying.wait() == -signal.SIGKILL
    knowledge.remove(ids[100:150])
    async with following(database, root) as (index, _):
        assert ids_in(index) == knowledge.ids()
        await search(index, "after 7")


async def test_a_killed_process_leaves_a_replica_that_can_be_used(
    database: Database, knowledge: KnowledgeBase, root: Path, start_process: StartProcess
) -> None:
    knowledge.add(f"chunk {n}" for n in range(300))
    process = await start_process()
    assert process.stdout
    await process.stdout.readline()
    process.kill()
    await process.wait()
    [left] = generations(root)
    async with following(database, root) as (index, _):
        assert generations(root) == [left]
        assert ids_in(index) == knowledge.ids()


async def test_a_process_killed_while_it_built_its_replica_builds_it_anew(
    database: Database, knowledge: KnowledgeBase, root: Path, start_process: StartProcess
) -> None:
    knowledge.add(f"chunk {n}" for n in range(300))
    dying = await start_process("--die")
    assert await dying.wait() == -signal.SIGKILL
    async with following(database, root) as (index, _):
        assert ids_in(index) == knowledge.ids()
    assert len(generations(root)) == 1


@pytest.mark.parametrize(
    ("pattern", "keep"),
    [
        (NOTE, 0.5),
        (NOTE, 0),
        ("edge_config.json", 0.5),
        ("segments/*/segment.json", None),
        ("segments/*/version.info", None),
        ("segments/*/mutable_id_tracker.mappings", None),
        ("segments/*/mutable_id_tracker.mappings", 0.5),
        ("segments/*/payload_storage/config.json", None),
        # Rust panics on this one.
        ("segments/*/vector_storage-dense/vectors/status.dat", 0.5),
    ],
)
async def test_a_damaged_replica_is_rebuilt_at_the_start(
    database: Database, knowledge: KnowledgeBase, root: Path, pattern: str, keep: float | None
) -> None:
    knowledge.add(f"chunk {n}" for n in range(100))
    async with following(database, root):
        pass
    [file] = generations(root, pattern)
    if keep is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep)])
    async with following(database, root) as (index, _):
        assert ids_in(index) == knowledge.ids()
        await search(index, "chunk 7")


async def test_a_replica_whose_damage_shows_in_a_search_is_rebuilt(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    knowledge.add(["a chunk"])
    async with following(database, root):
        pass
    [file] = generations(root, "segments/*/vector_storage-dense/vectors/chunk_0.mmap")
    file.unlink()
    async with following(database, root) as (index, follower):
        with pytest.raises(IndexUnavailable):
            await search(index, "a chunk")
        knowledge.add(["another"])
        await follower.caught_up()
        await search(index, "a chunk")
        assert ids_in(index) == knowledge.ids()


async def test_lost_connections_are_opened_again(
    database: Database, knowledge: KnowledgeBase, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "POLL_SEC", 3600)
    async with following(database, root) as (index, following_):
        for text in ("one", "two"):
            knowledge.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            knowledge.add([text])
            # Not the position: another test's open transaction may hold that back.
            await until(lambda: ids_in(index) == knowledge.ids())
        await following_.caught_up()
        assert following_.status.error is None


async def test_a_database_that_cannot_be_reached_is_told_by_the_status(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    async with following(database, root) as (index, follower):
        knowledge.add(["before"])
        await follower.caught_up()
        knowledge.execute("ALTER TABLE index_change RENAME TO hidden")
        await until(lambda: follower.status.error is not None)
        await search(index, "before")
        knowledge.execute("ALTER TABLE hidden RENAME TO index_change")
        knowledge.add(["after"])
        await follower.caught_up()
        assert follower.status.error is None
        assert ids_in(index) == knowledge.ids()


async def test_a_database_that_was_set_back_is_followed_from_the_beginning(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    ids = knowledge.add(["only in the index"])
    async with following(database, root) as (index, _):
        await index.remember(Position(2**50, 1))
    knowledge.remove(ids)
    knowledge.add(["only in the database"])
    async with following(database, root) as (index, _):
        assert ids_in(index) == knowledge.ids()


async def test_a_replica_of_another_database_is_not_used(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    knowledge.add(["a chunk"])
    async with following(database, root):
        [generation] = generations(root)
    note = json.loads((generation / NOTE).read_text())
    note["spec"]["database"] = "1234/5"
    (generation / NOTE).write_text(json.dumps(note))
    async with following(database, root) as (index, _):
        assert not generation.exists()
        assert ids_in(index) == knowledge.ids()


async def test_a_full_disk_stops_writing_but_not_searching(
    database: Database, knowledge: KnowledgeBase, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowledge.add(["before"])
    async with following(database, root) as (index, follower):
        enough = edge_index.MIN_FREE_BYTES
        monkeypatch.setattr(edge_index, "MIN_FREE_BYTES", 2**62)
        knowledge.add(["after"])
        await until(lambda: "disk" in (follower.status.error or ""))
        await search(index, "before")
        monkeypatch.setattr(edge_index, "MIN_FREE_BYTES", enough)
        await follower.caught_up()
        assert ids_in(index) == knowledge.ids()


# The optimised generation that a child process builds


async def test_an_optimised_generation_takes_over_while_searches_go_on(
    database: Database, knowledge: KnowledgeBase, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    knowledge.add(f"before {n}" for n in range(500))
    async with following(database, root, optimise_after=500) as (index, follower):
        [unoptimised] = generations(root)
        searches = 0

        async def search_all_the_time() -> None:
            nonlocal searches
            while unoptimised.exists():
                await search(index, "before 7")
                searches += 1
                await asyncio.sleep(0)

        searching = asyncio.create_task(search_all_the_time())
        # What changes while the child works must be in what it builds, too.
        knowledge.remove(list(knowledge.ids())[:100])
        added = 0
        while not searching.done():
            knowledge.add([f"meanwhile {added}"])
            added += 1
            await follower.caught_up()
            assert ids_in(index) == knowledge.ids()
        await searching
        assert searches > added > 1
        await follower.caught_up()
        assert ids_in(index) == knowledge.ids()
        [optimised] = generations(root)
        assert optimised != unoptimised
        assert caplog.records == [], "nothing had to be mended"
    async with following(database, root) as (index, _):
        assert generations(root) == [optimised]
        assert ids_in(index) == knowledge.ids()


async def test_changes_that_were_applied_ahead_of_time_are_not_forgotten_by_the_switch(
    database: Database, knowledge: KnowledgeBase, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, go_on = asyncio.Event(), asyncio.Event()
    build = edge_builder.build_generation

    async def build_and_wait(*arguments: Any, **options: Any) -> None:
        await build(*arguments, **options)
        built.set()
        await go_on.wait()

    monkeypatch.setattr(edge_index, "build_generation", build_and_wait)
    knowledge.add(["before"])
    with knowledge.transaction():
        async with following(database, root, optimise_after=1) as (index, follower):
            [unoptimised] = generations(root)
            await built.wait()
            knowledge.add(["ahead of time"])
            await follower.caught_up()
            go_on.set()
            await until(lambda: not unoptimised.exists())
            assert ids_in(index) == knowledge.ids()


async def test_a_child_that_is_killed_harms_nobody_and_is_started_again(
    database: Database, knowledge: KnowledgeBase, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_index, "BUILD_RETRY_SEC", 0)
    knowledge.add(f"chunk {n}" for n in range(100))
    async with following(database, root, optimise_after=100) as (index, follower):
        [unoptimised] = generations(root)
        with builds_held_up(root):
            await until(lambda: bool(children(os.getpid())))
            [child] = children(os.getpid())
            os.kill(child, signal.SIGKILL)
            await until(lambda: children(os.getpid()) not in ([], [child]))
        await search(index, "chunk 7")
        await until(lambda: not unoptimised.exists())
        knowledge.add(["later"])
        await follower.caught_up()
        assert ids_in(index) == knowledge.ids()


async def test_a_child_does_not_outlive_its_parent_nor_show_the_databases_password(
    knowledge: KnowledgeBase, root: Path, database_url: str, start_process: StartProcess
) -> None:
    knowledge.add(["a chunk"])
    with builds_held_up(root):
        parent = await start_process("--optimise")
        await until(lambda: bool(children(parent.pid)))
        [child] = children(parent.pid)
        # Then it has read its order and waits behind the lock.
        await until(lambda: ps("ni", "-p", str(child)).strip() == str(edge_builder.NICENESS))
        assert database_url not in ps("args", "-p", str(child))
        parent.kill()
        await until(lambda: ps("stat", "-p", str(child)).strip() in ("", "Z"))


async def test_closing_does_not_wait_for_the_child(
    database: Database, knowledge: KnowledgeBase, root: Path
) -> None:
    knowledge.add(["a chunk"])
    with builds_held_up(root):
        async with following(database, root, optimise_after=1):
            await until(lambda: bool(children(os.getpid())))
        assert children(os.getpid()) == []


@contextmanager
def builds_held_up(root: Path) -> Iterator[None]:
    """Let every child wait, as behind another process's."""
    root.mkdir(exist_ok=True)
    with (root / "build.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def children(pid: int) -> list[int]:
    """The processes that build for this one."""
    lines = ps("pid,args", "--ppid", str(pid)).splitlines()
    return [int(line.split()[0]) for line in lines if edge_builder.__name__ in line]


def ps(columns: str, *selection: str) -> str:
    """Ask the system about processes."""
    command = ["ps", "-ww", "-o", f"{columns}=" if "," not in columns else columns, *selection]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
