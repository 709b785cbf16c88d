"""The doctor: what it finds in PostgreSQL and in the indexes, and how it mends it."""

import asyncio
import functools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, models

from app.core.database import Database
from app.core.exceptions import IndexUnavailable
from app.knowledge.doctor import replicas as replicas_module
from app.knowledge.doctor.collection import Collection
from app.knowledge.doctor.diagnosis import Diagnosis, ExitCode, Indexes, diagnose, repair
from app.knowledge.doctor.findings import Severity
from app.knowledge.doctor.replicas import Replicas
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.edge_slot import EdgeSlot
from app.knowledge.embedding import Embedder
from app.knowledge.follower import Follower
from app.knowledge.index_source import read_latest, read_spec
from app.knowledge.server_index import ServerIndex
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import IndexPoint, IndexSpec, Position
from tests.conftest import Ingest
from tests.knowledge.index_support import until
from tests.support import execute, fetch

# Qdrant's local mode says so once per process.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

FILES: dict[str, str | bytes | None] = {
    "tea.md": "# Tea\n\nGreen tea is brewed at 80 degrees.\n",
    "coffee.md": "# Coffee\n\nZürich 🏔️ drinks it with cream.\n",
    "water.md": "# Water\n\nIt boils at 100 degrees.\n",
}

Examine = Callable[[], Awaitable[Diagnosis]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the replicas are."""
    return tmp_path / "qdrant"


def hush(name: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture
def examine(database: Database, embedder: Embedder, root: Path) -> Examine:
    """Examine the knowledge base and its replicas."""
    return functools.partial(examine_all, database, embedder, Replicas(root))


async def examine_all(
    database: Database, embedder: Embedder, indexes: Indexes, model: str | None = None
) -> Diagnosis:
    return await diagnose(
        database, indexes, lambda: embedder, model=model or embedder.model_name, stage=hush
    )


@asynccontextmanager
async def replica(database: Database, embedder: Embedder, root: Path) -> AsyncIterator[Follower]:
    """A process that uses a replica; its index is complete."""
    spec = await database.run(read_spec, embedder.model_name, embedder.dimensions)
    index = await EdgeIndex.open(root, spec, database_url=database.url)
    follower = Follower(database, index, SparseEncoder())
    try:
        await follower.start()
        await settled(database, follower)
        yield follower
    finally:
        await follower.aclose()
        await index.aclose()


async def settled(database: Database, follower: Follower) -> None:
    """Wait until the position, too, is where it should be.

    Another test's open transaction may hold it back.
    """
    latest = await database.run(read_latest)
    if latest is not None:
        await until(lambda: (follower.status.position or Position(0, 0)) >= latest)


def edge(follower: Follower) -> EdgeIndex:
    assert isinstance(follower._index, EdgeIndex)
    return follower._index


def index_point(chunk_id: uuid.UUID, dense: list[float]) -> IndexPoint:
    return IndexPoint(
        chunk_id=chunk_id,
        payload={},
        dense=dense,
        sparse=SparseEncoder().encode_document("text"),
    )


def files(root: Path, pattern: str) -> list[Path]:
    return list(root.glob(f"0/*-*/{pattern}"))


def messages(diagnosis: Diagnosis) -> str:
    return "\n".join(map(str, diagnosis.findings))


async def test_nothing_is_wrong_with_what_was_just_ingested(
    ingest: Ingest, examine: Examine, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root):
        in_use = await examine()
    not_in_use = await examine()

    for diagnosis, words in ((in_use, "(in use): 3"), (not_in_use, "(not in use): 3")):
        assert diagnosis.findings == []
        assert diagnosis.exit_code is ExitCode.WELL
        assert diagnosis.lines[0] == "PostgreSQL: 3 documents with 3 chunks"
        assert words in diagnosis.lines[1]
        assert diagnosis.lines[1].endswith("points, up to date")


async def test_nothing_is_wrong_with_an_empty_knowledge_base(examine: Examine) -> None:
    assert (await examine()).findings == []


# PostgreSQL


async def test_chunks_without_a_vector_are_embedded_and_then_found(
    ingest: Ingest, examine: Examine, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    execute(database.url, "DELETE FROM embedding WHERE ctid = (SELECT min(ctid) FROM embedding)")
    one = "ctid = (SELECT min(ctid) FROM embedding)"
    for broken in ("''", "vector || '\\x00'"):
        execute(database.url, f"UPDATE embedding SET vector = {broken} WHERE {one}")
    async with replica(database, embedder, root) as follower:
        diagnosis = await examine()
        await repair(diagnosis, hush)
        await follower.caught_up()
        assert await edge(follower).count() == 3
        assert (await examine()).findings == []

    assert diagnosis.exit_code is ExitCode.DIFFERENT
    assert "3 chunks have no usable vector" in messages(diagnosis)


async def test_unused_vectors_are_a_note_and_can_be_removed(
    ingest: Ingest, examine: Examine, database: Database
) -> None:
    await ingest(FILES)
    execute(database.url, "DELETE FROM document WHERE path = 'tea.md'")

    diagnosis = await examine()
    await repair(diagnosis, hush)

    assert diagnosis.exit_code is ExitCode.WELL
    assert "1 vectors belong to texts that are no longer there" in messages(diagnosis)
    assert fetch(database.url, "SELECT count(*) FROM embedding") == [(2,)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("start_offset = start_offset + 1", "don't stand where they say"),
        ("text = chunk.text || '!'", "is not what was embedded"),
        ("heading_path = '{Cocoa}'", "is not what was embedded"),
        ("content_hash = sha256('')", "is not what was embedded"),
    ],
)
async def test_a_chunk_that_does_not_fit_its_document_is_mended_by_the_next_ingestion(
    ingest: Ingest, examine: Examine, database: Database, change: str, words: str
) -> None:
    await ingest(FILES)
    execute(
        database.url,
        f"UPDATE chunk SET {change} FROM document"
        " WHERE document.id = document_id AND path = 'coffee.md'",
    )

    diagnosis = await examine()
    await repair(diagnosis, hush)
    repaired = await examine()
    await ingest()

    assert diagnosis.exit_code is ExitCode.DIFFERENT
    assert words in messages(diagnosis)
    assert "coffee.md" in messages(diagnosis)
    assert "1 documents wait to be stored anew" in messages(repaired)
    assert (await examine()).exit_code is ExitCode.WELL


async def test_a_document_that_lost_its_chunks_is_a_note(
    ingest: Ingest, examine: Examine, database: Database
) -> None:
    await ingest({**FILES, "blank.md": "\n\n"})
    execute(
        database.url,
        "DELETE FROM chunk USING document WHERE document.id = document_id AND path = 'tea.md'",
    )

    diagnosis = await examine()

    assert "1 documents have no chunks" in messages(diagnosis)
    assert diagnosis.exit_code is ExitCode.WELL


async def test_many_documents_are_all_looked_at(
    ingest: Ingest, examine: Examine, database: Database
) -> None:
    await ingest({f"{n}.md": f"# {n}\n\nDocument number {n}.\n" for n in range(300)})
    execute(database.url, "UPDATE chunk SET start_offset = start_offset + 1")

    assert "300 documents (" in messages(await examine())


async def test_another_model_in_the_settings_is_told(
    ingest: Ingest, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root):
        pass

    diagnosis = await examine_all(database, embedder, Replicas(root), model="other/model")

    [finding] = diagnosis.findings
    assert finding.severity is Severity.ERROR
    assert "other/model" in finding.message
    assert "3 points" in diagnosis.lines[1], "the index is compared with what it was made from"


# Replicas


@pytest.mark.parametrize("in_use", [True, False])
async def test_a_replica_that_differs_is_mended_point_by_point(
    ingest: Ingest,
    examine: Examine,
    database: Database,
    embedder: Embedder,
    root: Path,
    in_use: bool,
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root) as follower:
        index = edge(follower)
        point = (await index.scan(uuid.UUID(int=0), 10))[0]
        generation = index._current
        assert generation is not None
        [missing, different] = [p.chunk_id for p in await index.scan(point.chunk_id, 10)]
        generation.delete([missing])
        dense = embedder.embed(["text"])[0].tolist()
        stranger = index_point(uuid.uuid4(), dense)
        generation.upsert([stranger, index_point(different, dense)])
        if in_use:
            diagnosis = await examine()
    if not in_use:
        diagnosis = await examine()
    await repair(diagnosis, hush)

    assert diagnosis.exit_code is ExitCode.DIFFERENT
    assert "1 missing, 1 there that should not be, 1 made from something else" in messages(
        diagnosis
    )
    assert (await examine()).exit_code is ExitCode.WELL
    async with replica(database, embedder, root) as follower:
        await follower.caught_up()
        after = await examine()
        assert after.findings == []
        assert "3 points" in after.lines[1]


async def test_a_damaged_replica_that_nobody_uses_is_removed(
    ingest: Ingest, examine: Examine, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root):
        pass
    [file] = files(root, "edge_config.json")
    file.write_bytes(file.read_bytes()[:10])

    diagnosis = await examine()
    await repair(diagnosis, hush)

    assert "is damaged" in messages(diagnosis)
    assert diagnosis.exit_code is ExitCode.DIFFERENT
    assert (await examine()).findings == []
    assert files(root, "") == []


async def test_a_replica_that_lags_differs_in_nothing_but_its_lag(
    ingest: Ingest, examine: Examine, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root):
        pass
    await ingest({"tea.md": None, "milk.md": "# Milk\n\nIt is white.\n"})

    diagnosis = await examine()

    assert diagnosis.findings == []
    assert diagnosis.lines[1].endswith("3 points, 2 changes behind")


@pytest.mark.parametrize("far", [True, False])
async def test_a_replica_that_cannot_be_followed_up_is_said_to_be_rebuilt(
    ingest: Ingest,
    examine: Examine,
    database: Database,
    embedder: Embedder,
    root: Path,
    far: bool,
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root) as follower:
        await edge(follower).remember(Position(2**50, 1) if far else Position(1, 1))
    execute(
        database.url,
        f"INSERT INTO index_compaction VALUES ('{edge(follower).spec.database}', '2')",
    )

    diagnosis = await examine()

    assert diagnosis.findings == []
    assert "rebuilt when a process needs it" in diagnosis.lines[1]


async def test_a_process_that_does_not_answer_leaves_its_replica_unchecked(
    ingest: Ingest,
    examine: Examine,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replicas_module, "ANSWER_TIMEOUT_SEC", 0)
    await ingest(FILES)
    slot = EdgeSlot.take(root)

    diagnosis = await examine()
    slot.release()

    assert diagnosis.exit_code is ExitCode.UNCHECKED
    assert "did not answer" in messages(diagnosis)


async def test_a_replica_whose_process_ends_meanwhile_is_opened(
    ingest: Ingest, examine: Examine, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root):
        pass
    slot = EdgeSlot.take(root)
    asyncio.get_running_loop().call_later(0.3, slot.release)

    diagnosis = await examine()

    assert diagnosis.findings == []
    assert "(not in use): 3 points" in diagnosis.lines[1]


async def test_nothing_of_a_check_remains(
    ingest: Ingest, examine: Examine, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root):
        await examine()

    assert fetch(database.url, "SELECT FROM index_check") == []


async def test_what_changes_while_it_looks_is_no_difference(
    ingest: Ingest, examine: Examine, database: Database, embedder: Embedder, root: Path
) -> None:
    await ingest(FILES)
    async with replica(database, embedder, root), replica(database, embedder, root):
        changing = asyncio.create_task(keep_changing(ingest))
        diagnoses = [await examine() for _ in range(8)]
        changing.cancel()
        await asyncio.wait([changing])

    assert [messages(diagnosis) for diagnosis in diagnoses if diagnosis.exit_code] == []


async def keep_changing(ingest: Ingest) -> None:
    number = 0
    while True:
        number += 1
        await ingest({"tea.md": f"# Tea\n\nCup number {number} is the best.\n"})


# A Qdrant server


class SharedIndex(ServerIndex):
    """One whose client others use too."""

    async def aclose(self) -> None:
        """Leave the client open."""


class Server:
    """A collection, and whoever uses it."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self.client = AsyncQdrantClient(":memory:")
        self.indexes = Collection(self.open)

    async def open(self, spec: IndexSpec) -> ServerIndex:
        """Open it; the client, which is the server too, outlives that."""
        return await SharedIndex.open(self.client, "brag", spec)

    async def fill(self) -> None:
        """Have a process write it."""
        spec = await self._database.run(
            read_spec, self._embedder.model_name, self._embedder.dimensions
        )
        follower = Follower(self._database, await self.open(spec), SparseEncoder())
        await follower.start()
        await settled(self._database, follower)
        await follower.aclose()

    async def examine(self) -> Diagnosis:
        """Examine the knowledge base and the collection."""
        return await examine_all(self._database, self._embedder, self.indexes)


@pytest.fixture
async def server(database: Database, embedder: Embedder) -> AsyncIterator[Server]:
    server = Server(database, embedder)
    yield server
    await server.client.close()


async def test_a_collection_that_differs_is_mended(ingest: Ingest, server: Server) -> None:
    await ingest(FILES)
    await server.fill()
    before = await server.examine()
    records, _ = await server.client.scroll("brag")
    await server.client.delete("brag", models.PointIdsList(points=[records[0].id]))
    await server.client.set_payload("brag", {"content_hash": "?"}, points=[records[1].id])

    diagnosis = await server.examine()
    await repair(diagnosis, hush)
    after = await server.examine()

    assert before.findings == []
    assert "1 missing, 1 made from something else" in messages(diagnosis)
    assert after.findings == []
    assert after.lines[1].startswith("The Qdrant collection: 3 points")


@pytest.mark.parametrize(
    "payload",
    [
        {"source_id": "?"},
        {"document_id": "?"},
        {"reader": "shared"},
        {"path": ["tea.md", "coffee.md"]},
        {"updated_at": "2020-01-01T00:00:00+00:00"},
    ],
)
async def test_a_point_that_would_answer_to_a_wrong_filter_is_written_anew(
    ingest: Ingest, server: Server, payload: dict[str, object]
) -> None:
    await ingest(FILES)
    await server.fill()
    [record], _ = await server.client.scroll("brag", limit=1)
    await server.client.set_payload("brag", payload, points=[record.id])

    diagnosis = await server.examine()
    await repair(diagnosis, hush)

    assert "1 made from something else" in messages(diagnosis)
    assert (await server.examine()).findings == []


async def test_nothing_is_wrong_with_what_was_ingested_again(
    ingest: Ingest, server: Server
) -> None:
    same = "# White\n\n" + "Milk is white. " * 100
    await ingest({"milk.md": f"{same}\n\n# Brown\n\nCocoa is brown.\n"})
    await server.fill()
    await ingest({"milk.md": f"{same}\n\n# Brown\n\nCocoa with milk is brown.\n"})
    await server.fill()

    assert (await server.examine()).findings == []


async def test_a_collection_that_is_not_there_is_built(ingest: Ingest, server: Server) -> None:
    await ingest(FILES)

    diagnosis = await server.examine()
    await repair(diagnosis, hush)

    assert diagnosis.exit_code is ExitCode.DIFFERENT
    assert "is not there" in messages(diagnosis)
    assert (await server.examine()).findings == []


async def test_a_collection_that_is_not_ours_is_left_alone(ingest: Ingest, server: Server) -> None:
    await ingest(FILES)
    await server.client.create_collection(
        "brag", models.VectorParams(size=3, distance=models.Distance.DOT)
    )

    diagnosis = await server.examine()
    await repair(diagnosis, hush)

    assert "not made by bRAG" in messages(diagnosis)
    assert (await server.client.count("brag")).count == 0


async def test_a_server_that_does_not_answer_cannot_be_checked(
    ingest: Ingest, database: Database, embedder: Embedder, unused_url: str
) -> None:
    await ingest(FILES)

    async def open_index(spec: IndexSpec) -> ServerIndex:
        client = AsyncQdrantClient(unused_url.removesuffix("/v1"), check_compatibility=False)
        return await ServerIndex.open(client, "brag", spec)

    with pytest.raises(IndexUnavailable):
        await examine_all(database, embedder, Collection(open_index))
