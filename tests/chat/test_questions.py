"""POST /v1/qa-create: answers from the documents."""

import asyncio

import httpx2

from tests.chat.asking import until_found
from tests.conftest import Ingest
from tests.upstream import Upstream

NOTHING_FOUND = "No documents found in context. Please try again with a different query."
GUIDE = """# Guide

## Folders

To ingest a folder, run this command:

```sh
python -m app ingest PATH
```

## Backups

Copy the database every night. The index is rebuilt from it.
"""


async def ask(client: httpx2.AsyncClient, message: str, **fields: str) -> httpx2.Response:
    return await client.post("/v1/qa-create", json={"message": message, **fields})


async def test_an_empty_knowledge_base_finds_nothing_and_asks_no_language_model(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    response = await ask(upstream_api, "How do I ingest a folder?")

    assert response.status_code == 200
    assert response.json()["message"] == NOTHING_FOUND
    assert response.json()["sources"] == []
    assert upstream.requests == []


async def test_a_question_is_answered_from_the_documents_with_a_citation(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest({"guide.md": GUIDE})
    await until_found(api, "guide.md")

    answer = (await ask(api, "How do I ingest a folder?")).json()

    assert "python -m app ingest PATH" in answer["message"]
    cited = [source for source in answer["sources"] if f"[{source['number']}]" in answer["message"]]
    assert [source["path"] for source in cited] == ["guide.md"]
    assert answer["model"] == "offline-extractive"
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["usage"]["completion_tokens"] > 0


async def test_a_source_says_where_its_text_stands(ingest: Ingest, api: httpx2.AsyncClient) -> None:
    text = "# Zürich 🏔️\n\nThe lake is 406 m above the sea.\n"
    await ingest({"places/lake.md": text})
    await until_found(api, "places/lake.md")

    [source] = (await ask(api, "How high is the lake of Zürich?")).json()["sources"]

    assert source["number"] == 1
    assert source["path"] == "places/lake.md"
    assert source["title"] == "Zürich 🏔️"
    assert source["heading_path"] == ["Zürich 🏔️"]
    assert text[source["start"] : source["end"]] == source["text"]
    assert "406 m" in source["text"]


async def test_the_language_model_gets_the_passages_and_the_question(
    ingest: Ingest, upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    await ingest({"guide.md": GUIDE})
    await until_found(upstream_api, "guide.md")
    upstream.requests.clear()

    answer = (await ask(upstream_api, "How do I make backups?")).json()

    system, user = upstream.requests[0]["messages"]
    assert system["role"] == "system"
    assert "Copy the database every night." in user["content"]
    assert "How do I make backups?" in user["content"]
    assert answer["message"] == "Run `make run-dev`. [1]"
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "cost": None}


async def test_a_question_in_any_script_works(ingest: Ingest, api: httpx2.AsyncClient) -> None:
    await ingest({"he.md": "# עברית\n\nהבירה של צרפת היא פריז. 🇫🇷\n"})
    await until_found(api, "he.md")

    response = await ask(api, "מהי הבירה של צרפת? 🇫🇷")

    assert response.status_code == 200
    assert response.json()["sources"][0]["path"] == "he.md"


async def test_a_deleted_document_is_not_a_source_any_more(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest({"guide.md": GUIDE, "other.md": "# Other\n\nSomething else.\n"})
    await until_found(api, "guide.md")

    await ingest({"guide.md": None})
    answer = (await ask(api, "How do I ingest a folder?")).json()

    assert "guide.md" not in {source["path"] for source in answer["sources"]}


async def test_many_questions_at_once_each_get_their_own_answer(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    cities = {f"city{n}": f"The mayor of city{n} is called Person{n}." for n in range(8)}
    await ingest({f"{name}.md": f"# {name}\n\n{text}\n" for name, text in cities.items()})
    await until_found(api, "city7.md")

    answers = await asyncio.gather(
        *(ask(api, f"Who is the mayor of {name}?") for name in cities for _ in range(4))
    )

    expected = [f"Person{n}" for n in range(8) for _ in range(4)]
    for response, person in zip(answers, expected, strict=True):
        assert person in response.json()["message"]
