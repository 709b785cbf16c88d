"""/api/v1: the requests of earlier backends' clients, and the answers that they expect."""

import httpx2
import pytest

from app.chat.constants import NO_DOCUMENTS_FOUND
from tests.chat.asking import until_found
from tests.chat.test_wording import BEGINNER, instructions, set_levels
from tests.compat.asking import LAKES, post
from tests.conftest import Ingest
from tests.support import fetch
from tests.upstream import MODEL, Upstream

QUESTION = "How deep is Lake Baikal?"
HOURS = "We are open from 9 to 17 on weekdays. On Sundays the shop stays closed."
CHAT_PATHS = ["/chat", "/chat_conversation"]


@pytest.fixture
async def lakes_api(ingest: Ingest, api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A server that knows of lakes."""
    await ingest(dict(LAKES))
    await until_found(api, *LAKES)
    return api


async def test_an_answer_comes_with_the_paths_of_its_documents(
    lakes_api: httpx2.AsyncClient,
) -> None:
    answer = await post(lakes_api, "/answer", {"question": QUESTION})

    assert answer.keys() == {"answer", "sources"}
    assert answer["answer"].startswith("Lake Baikal is 1642 metres deep. [1]")
    assert answer["sources"][0] == "lakes.md"


async def test_a_path_is_named_once_and_the_best_one_first(
    ingest: Ingest, upstream_api: httpx2.AsyncClient
) -> None:
    about = "The harbour master opens the gate of the harbour in the morning. "
    other = "Soup is cooked slowly, with carrots, onions and a good deal of salt. "
    section = f"{about * 8}\n\n## {{}}\n\n{other * 25}\n\n## Again {{}}\n\n"
    await ingest(
        {
            "a.md": f"# Gates\n\n{''.join(section.format(n, n) for n in range(4))}",
            "b.md": "# Gates\n\nThe harbour master opens the gate.\n",
        }
    )
    await until_found(upstream_api, "a.md", "b.md")
    question = "Who opens the gate of the harbour in the morning?"

    known = await upstream_api.post("/v1/qa-create", json={"message": question})
    answer = await post(upstream_api, "/answer", {"question": question})

    paths = [source["path"] for source in known.json()["sources"]]
    assert len(paths) > len(set(paths)) == 2
    assert answer["sources"] == sorted(set(paths), key=paths.index)


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_a_chat_message_is_answered_from_the_documents(
    lakes_api: httpx2.AsyncClient, path: str
) -> None:
    answer = await post(lakes_api, path, {"message": QUESTION})

    assert answer["response"].startswith("Lake Baikal is 1642 metres deep. [1]")
    assert answer["query"] == QUESTION
    assert answer["model_used"] == "offline-extractive"
    assert answer["sources"][0]["path"] == "lakes.md"
    assert "1642 metres" in answer["sources"][0]["text"]
    assert answer["session_id"] is answer["chat_id"] is None


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_a_selected_text_replaces_the_documents(
    lakes_api: httpx2.AsyncClient, path: str
) -> None:
    body = {"message": "When is the shop closed?", "selected_text": HOURS, "session_id": "s"}

    answer = await post(lakes_api, path, body)

    assert answer["response"].startswith("On Sundays the shop stays closed. [1]")
    assert [source["document_id"] for source in answer["sources"]] == [None]
    nothing = await post(lakes_api, path, {"message": QUESTION, "selected_text": HOURS})
    assert nothing["response"] == NO_DOCUMENTS_FOUND


@pytest.mark.parametrize("nothing", [None, "", " \n"])
async def test_where_nothing_is_selected_the_documents_are_asked(
    lakes_api: httpx2.AsyncClient, nothing: str | None
) -> None:
    answer = await post(lakes_api, "/chat", {"message": QUESTION, "selected_text": nothing})

    assert answer["sources"][0]["path"] == "lakes.md"


async def test_a_selection_is_answered_from_alone(
    lakes_api: httpx2.AsyncClient, database_url: str
) -> None:
    query = "When is the shop closed?"

    answer = await post(
        lakes_api, "/chat_with_selection", {"query": query, "document_content": HOURS}
    )

    assert answer.keys() == {"response", "sources", "query", "model_used"}
    assert answer["response"].startswith("On Sundays the shop stays closed. [1]")
    assert [source["title"] for source in answer["sources"]] == ["Selected text"]
    assert (answer["query"], answer["model_used"]) == (query, "offline-extractive")
    stored = fetch(database_url, "SELECT message FROM message WHERE role = 'user'")
    assert stored == [(query,)]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/answer", {"question": "Anything?"}, "answer"),
        ("/chat", {"message": "Anything?", "session_id": "s"}, "response"),
    ],
)
async def test_where_nothing_is_found_the_answer_says_so(
    api: httpx2.AsyncClient, path: str, body: dict[str, str], field: str
) -> None:
    answer = await post(api, path, body)

    assert answer[field] == NO_DOCUMENTS_FOUND
    assert answer["sources"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/answer", {"question": QUESTION}),
        ("/chat", {"message": QUESTION}),
        ("/chat_conversation", {"message": QUESTION, "session_id": "s"}),
        ("/chat_with_selection", {"query": QUESTION, "document_content": LAKES["lakes.md"]}),
    ],
)
async def test_fields_that_mean_nothing_here_are_ignored(
    lakes_api: httpx2.AsyncClient, path: str, body: dict[str, str]
) -> None:
    """What a client sends on top must neither be refused nor reach what it doesn't name."""
    extra = {"model": "gpt-99", "chat_id": "7", "filters": {"path_prefixes": ["x"]}, "stream": True}

    answer = await post(lakes_api, path, body | extra)

    assert "1642 metres" in str(answer)


async def test_backgrounds_shape_the_wording(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    set_levels(database_url, software="beginner")

    answer = await post(
        upstream_api, "/chat_with_selection", {"query": "Open?", "document_content": HOURS}
    )

    assert BEGINNER in instructions(upstream)
    assert answer["model_used"] == MODEL


async def test_what_the_language_model_fails_at_is_an_error_with_detail(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.refuses(500)
    body = {"query": "Open?", "document_content": HOURS}

    response = await upstream_api.post("/api/v1/chat_with_selection", json=body)

    assert response.status_code == 502
    assert response.json()["detail"] == "OpenAI call failed"


async def test_the_description_and_the_health_are_those_of_the_service(
    api: httpx2.AsyncClient,
) -> None:
    described = await api.get("/api/v1/openapi.json")
    health = await api.get("/api/v1/health")

    assert described.json() == (await api.get("/openapi.json")).json()
    operation = described.json()["paths"]["/api/v1/chat"]["post"]
    assert operation["tags"] == ["compatible"]
    assert {"200", "401", "403", "409", "422", "429", "502", "503", "504"} <= set(
        operation["responses"]
    )
    assert (health.status_code, health.json()) == (200, {"status": "healthy"})
