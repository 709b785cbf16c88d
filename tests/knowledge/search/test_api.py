"""POST /v1/search: passages, and why they were found."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.chat.asking import until_found
from tests.conftest import Ingest
from tests.support import fetch

FILES: dict[str, str] = {
    "docs/lake.md": "# Lakes\n\n## Zürich 🏔️\n\nThe lake lies 406 m above the sea.\n",
    "docs/guide/boats.md": "# Boats\n\nBoats leave every hour from the pier.\n",
    "docs-old/boats.md": "# Boats\n\nBoats left every two hours, years ago.\n",
}


@pytest.fixture
async def client(ingest: Ingest, api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    await ingest(dict(FILES))
    await until_found(api, *FILES)
    return api


async def search(client: httpx2.AsyncClient, query: str, **fields: Any) -> dict[str, Any]:
    response = await client.post("/v1/search", json={"query": query, **fields})
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


async def paths(client: httpx2.AsyncClient, query: str, **filters: Any) -> list[str]:
    result = await search(client, query, filters=filters)
    return sorted(hit["path"] for hit in result["hits"])


async def test_a_hit_says_where_it_stands_and_why_it_was_found(
    client: httpx2.AsyncClient,
) -> None:
    result = await search(client, "How high does the lake lie?")

    hit = result["hits"][0]
    text = FILES["docs/lake.md"]
    assert (hit["rank"], hit["path"], hit["source"]) == (1, "docs/lake.md", "folder")
    assert hit["title"] == "Lakes"
    assert hit["heading_path"] == ["Lakes", "Zürich 🏔️"]
    assert text[hit["start"] : hit["end"]] == hit["text"]
    assert hit["dense"]["rank"] == hit["bm25"]["rank"] == 1
    assert 0.3 < hit["dense"]["score"] < 1
    assert hit["bm25"]["score"] > 0
    assert [hit["rank"] for hit in result["hits"]] == [1, 2, 3]
    scores = [hit["score"] for hit in result["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert result["timings_ms"].keys() >= {"embed", "index", "passages"}
    assert result["mode"] == "hybrid"
    assert result["embedding_model"].endswith("all-MiniLM-L6-v2")


async def test_each_mode_asks_its_own_search_only(client: httpx2.AsyncClient) -> None:
    dense = await search(client, "vessels", mode="dense")
    bm25 = await search(client, "boats leave", mode="bm25")

    assert all(hit["bm25"] is None for hit in dense["hits"])
    assert "boats.md" in dense["hits"][0]["path"]
    assert {hit["path"] for hit in bm25["hits"]} == {"docs/guide/boats.md", "docs-old/boats.md"}
    assert "embed" not in bm25["timings_ms"]
    assert (await search(client, "vessels", mode="bm25"))["hits"] == []


async def test_top_k_limits_the_hits(client: httpx2.AsyncClient) -> None:
    assert len((await search(client, "boats", top_k=1))["hits"]) == 1


async def test_a_path_prefix_is_a_folder_or_a_file(client: httpx2.AsyncClient) -> None:
    assert await paths(client, "boats", path_prefixes=["docs"]) == [
        "docs/guide/boats.md",
        "docs/lake.md",
    ]
    assert await paths(client, "boats", path_prefixes=["docs/guide/"]) == ["docs/guide/boats.md"]
    assert await paths(client, "boats", path_prefixes=["docs-old/boats.md"]) == [
        "docs-old/boats.md"
    ]
    assert await paths(client, "boats", path_prefixes=["doc"]) == []


async def test_sources_and_documents_can_be_named(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    rows = fetch(
        database_url, "SELECT path, CAST(id AS text), CAST(source_id AS text) FROM document"
    )
    ids = {path: document_id for path, document_id, _ in rows}
    [source_id] = {source_id for _, _, source_id in rows}

    assert len(await paths(client, "boats", source_ids=[source_id])) == 3
    assert await paths(client, "boats", source_ids=[str(uuid4())]) == []
    assert await paths(client, "boats", document_ids=[ids["docs/lake.md"]]) == ["docs/lake.md"]
    assert (
        await paths(client, "boats", document_ids=[ids["docs/lake.md"]], path_prefixes=["docs-old"])
        == []
    )


async def test_documents_can_be_limited_to_a_time(client: httpx2.AsyncClient) -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)

    assert len(await paths(client, "boats", updated_from=(now - hour).isoformat())) == 3
    assert await paths(client, "boats", updated_from=(now + hour).isoformat()) == []
    assert await paths(client, "boats", updated_before=(now - hour).isoformat()) == []


async def test_a_query_in_no_known_words_still_answers(client: httpx2.AsyncClient) -> None:
    for query in ("the of and", "🦆🛶", "מהי הבירה", "?", "\n.\n"):
        result = await search(client, query)

        assert result["query"] == query


async def test_nothing_is_found_in_an_empty_knowledge_base(api: httpx2.AsyncClient) -> None:
    result = await search(api, "boats")

    assert result["hits"] == []
    assert result["relevant"] is False


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"query": ""}, "query: must not be empty"),
        ({"query": "\0"}, "NUL"),
        ({"query": "x" * 8_001}, "must not be longer than 8000 characters"),
        ({"query": "x" * 100_000}, "must not be longer than 8000 characters"),
        ({"query": "boats", "top_k": 0}, "top_k"),
        ({"query": "boats", "top_k": 10_000}, "top_k"),
        ({"query": "boats", "mode": "magic"}, "mode"),
        ({"query": "boats", "filter": {}}, "filter"),
        ({"query": "boats", "filters": {"path": "docs"}}, "path"),
        ({"query": "boats", "filters": {"source_ids": ["x"]}}, "source_ids"),
        ({"query": "boats", "filters": {"updated_from": "2026-01-01T00:00:00"}}, "timezone"),
        (
            {
                "query": "boats",
                "filters": {
                    "updated_from": "2026-02-01T00:00:00Z",
                    "updated_before": "2026-01-01T00:00:00Z",
                },
            },
            "updated_from must be before updated_before",
        ),
    ],
)
async def test_what_can_not_be_searched_for_is_refused(
    api: httpx2.AsyncClient, body: dict[str, Any], reason: str
) -> None:
    response = await api.post("/v1/search", json=body)

    assert response.status_code == 422
    assert reason in response.json()["detail"]


async def test_a_question_takes_the_same_filters_and_modes(client: httpx2.AsyncClient) -> None:
    body = {
        "message": "Boats every two hours, years ago?",
        "mode": "bm25",
        "filters": {"path_prefixes": ["docs-old"]},
    }

    answer = (await client.post("/v1/qa-create", json=body)).json()

    assert [source["path"] for source in answer["sources"]] == ["docs-old/boats.md"]
    assert "two hours" in answer["message"]
