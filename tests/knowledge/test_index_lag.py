"""How far behind an index is, as /readiness tells it."""

import httpx2
import pytest

from app.core.database import Database
from app.knowledge import index_source
from app.knowledge.vector_index import Position
from settings import Settings
from tests.conftest import Ingest
from tests.knowledge.index_support import KnowledgeBase
from tests.support import eventually, execute, open_client


async def index_part(client: httpx2.AsyncClient) -> dict[str, object]:
    part: dict[str, object] = (await client.get("/readiness")).json()["parts"]["index"]
    return part


async def test_an_index_that_is_up_to_date_has_no_lag(
    api: httpx2.AsyncClient, ingest: Ingest
) -> None:
    await ingest({"tea.md": "# Tea\n\nIt is green.\n"})

    async def is_up_to_date() -> bool:
        return await index_part(api) == {
            "status": "ok",
            "detail": None,
            "lag_changes": 0,
            "lag_seconds": 0,
        }

    await eventually(is_up_to_date)


async def test_other_parts_have_no_lag(api: httpx2.AsyncClient) -> None:
    parts = (await api.get("/readiness")).json()["parts"]

    assert parts["database"]["lag_changes"] is None


async def test_an_index_that_cannot_be_written_tells_how_far_behind_it_is(
    settings: Settings, database_url: str, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest({"tea.md": "# Tea\n\nIt is green.\n"})
    async with open_client(settings) as client:
        # As on a full disk.
        monkeypatch.setattr("app.knowledge.edge_index.MIN_FREE_BYTES", 2**62)
        await ingest({"milk.md": "# Milk\n\nIt is white.\n", "tea.md": None})
        execute(
            database_url,
            "UPDATE index_change SET created_at = now() - interval '1 hour'"
            " WHERE xid = (SELECT max(xid::text::bigint) FROM index_change)::text::xid8",
        )

        async def lags() -> bool:
            part = await index_part(client)
            return part["lag_changes"] == 2 and "disk" in str(part["detail"])

        await eventually(lags)
        part = await index_part(client)

    assert part["status"] == "down"
    assert isinstance(part["lag_seconds"], float)
    assert 3600 <= part["lag_seconds"] < 7200


async def test_a_lag_is_said_in_words_while_the_index_catches_up(
    settings: Settings, database_url: str, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest({"tea.md": "# Tea\n\nIt is green.\n"})
    async with open_client(settings) as client:
        monkeypatch.setattr("app.knowledge.follower.Follower._turn", idle)
        await ingest({"milk.md": "# Milk\n\nIt is white.\n"})
        part = await index_part(client)

    assert part["status"] == "ok"
    assert str(part["detail"]).startswith("1 changes behind, for ")


async def idle(_: object) -> bool:
    """Do nothing, as if there were no time for it."""
    return True


async def test_no_more_changes_are_counted_than_matter(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_source, "MAX_LAG", 5)
    with KnowledgeBase(database_url) as knowledge:
        knowledge.add(f"text {n}" for n in range(10))

    lag = await database.run(index_source.read_lag, Position(0, 0))

    assert lag.changes == 5
