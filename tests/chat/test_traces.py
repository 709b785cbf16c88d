"""GET /v1/messages/{id}/trace and POST /v1/messages/{id}/replay."""

import hashlib
from uuid import uuid4

import httpx2
import pytest

from tests.chat.asking import ask, until_found
from tests.conftest import Ingest
from tests.support import execute, fetch
from tests.upstream import MODEL, Upstream

GUIDE = "# Guide\n\nTo start the service, run `make run-dev` in the folder.\n"
QUESTION = "How do I start the service?"


@pytest.fixture
async def guided_api(ingest: Ingest, upstream_api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    await ingest({"guide.md": GUIDE})
    await until_found(upstream_api, "guide.md")
    return upstream_api


async def test_a_trace_tells_what_an_answer_was_made_from(
    guided_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    answer = await ask(guided_api, QUESTION, mode="hybrid", filters={"path_prefixes": ["guide.md"]})

    trace = (await guided_api.get(f"/v1/messages/{answer['id']}/trace")).json()

    assert trace["id"] == answer["id"]
    assert trace["question"] == QUESTION
    assert trace["message"] == answer["message"]
    assert (trace["model"], trace["requested_model"]) == (MODEL, MODEL)
    assert trace["status"] == "complete"
    assert len(trace["prompt_hash"]) == 64
    [passage], [source] = trace["passages"], answer["sources"]
    assert passage["chunk_id"] == source["chunk_id"]
    assert passage["text"] == source["text"]
    assert passage["content_hash"] == hashlib.sha256(source["text"].encode()).hexdigest()
    assert passage["dense"]["rank"] == passage["bm25"]["rank"] == 1
    assert trace["settings"]["mode"] == "hybrid"
    assert trace["settings"]["filters"]["path_prefixes"] == ["guide.md"]
    assert trace["settings"]["top_k"] == 5
    assert trace["settings"]["embedding_model"].endswith("all-MiniLM-L6-v2")
    assert trace["settings"]["context_tokens"] == 8192
    assert {"embed", "index", "passages"} <= trace["timings_ms"].keys()
    assert trace["left_out"] == 0
    assert trace["replay_of"] is None
    assert [c["marker"] for c in trace["citations"]] == [c["marker"] for c in answer["citations"]]


async def test_the_trace_of_a_deleted_document_has_no_text(
    guided_api: httpx2.AsyncClient, ingest: Ingest
) -> None:
    answer = await ask(guided_api, QUESTION)
    await ingest({"guide.md": None})

    trace = (await guided_api.get(f"/v1/messages/{answer['id']}/trace")).json()

    assert [passage["text"] for passage in trace["passages"]] == [None]


async def test_a_trace_follows_a_passage_that_moved(
    guided_api: httpx2.AsyncClient, ingest: Ingest
) -> None:
    answer = await ask(guided_api, QUESTION)
    shifted = "# New\n\n" + "Something else stands here now. " * 10 + "\n\n" + GUIDE
    await ingest({"guide.md": shifted})

    trace = (await guided_api.get(f"/v1/messages/{answer['id']}/trace")).json()
    replay = (await guided_api.post(f"/v1/messages/{answer['id']}/replay")).json()

    [passage], [citation] = trace["passages"], trace["citations"]
    assert shifted[passage["start"] : passage["end"]] == passage["text"]
    assert "run-dev" in shifted[citation["start"] : citation["end"]]
    assert replay["differences"] == []


async def test_the_trace_of_a_completion_has_no_passages(
    upstream_api: httpx2.AsyncClient,
) -> None:
    answer = (await upstream_api.post("/v1/completion", json={"message": "Hi"})).json()

    trace = (await upstream_api.get(f"/v1/messages/{answer['id']}/trace")).json()

    assert trace["passages"] == []
    assert trace["settings"] is None
    assert len(trace["prompt_hash"]) == 64


async def test_an_answer_that_found_nothing_sent_no_prompt(
    upstream_api: httpx2.AsyncClient,
) -> None:
    answer = await ask(upstream_api, QUESTION)

    trace = (await upstream_api.get(f"/v1/messages/{answer['id']}/trace")).json()

    assert trace["prompt_hash"] is None
    assert trace["passages"] == []


@pytest.mark.parametrize(("method", "what"), [("GET", "trace"), ("POST", "replay")])
async def test_only_answers_have_a_trace(
    upstream_api: httpx2.AsyncClient, method: str, what: str
) -> None:
    await upstream_api.post("/v1/completion", json={"message": "Hi"})
    _, question = (await upstream_api.get("/v1/messages")).json()

    for message_id in (question["id"], uuid4()):
        response = await upstream_api.request(method, f"/v1/messages/{message_id}/{what}")

        assert response.status_code == 404
        assert response.json()["detail"] == "There is no answer with this id."


async def test_a_replay_sends_the_same_prompt_and_says_what_differs(
    guided_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    upstream.behave = upstream.answers("Run `make run-dev`. [1]")
    before = await ask(guided_api, QUESTION)
    upstream.behave = upstream.answers("In the folder, run `make run-dev`. [1]")

    replay = (await guided_api.post(f"/v1/messages/{before['id']}/replay")).json()

    assert upstream.requests[-1]["messages"] == upstream.requests[-2]["messages"]
    assert replay["replay_of"] == before["id"]
    assert replay["answer"]["message"] == "In the folder, run `make run-dev`. [1]"
    assert replay["answer"]["sources"] == before["sources"]
    assert replay["same"] is False
    assert replay["diff"] == [
        "-Run `make run-dev`. [1]",
        "+In the folder, run `make run-dev`. [1]",
    ]
    assert "prompt_hash" not in {difference["what"] for difference in replay["differences"]}
    trace = (await guided_api.get(f"/v1/messages/{replay['answer']['id']}/trace")).json()
    assert trace["replay_of"] == before["id"]
    stored = fetch(database_url, "SELECT count(DISTINCT question_id), count(*) FROM message")
    assert stored == [(1, 3)]


async def test_a_replay_that_says_the_same_differs_in_nothing(
    guided_api: httpx2.AsyncClient,
) -> None:
    before = await ask(guided_api, QUESTION)

    replay = (await guided_api.post(f"/v1/messages/{before['id']}/replay")).json()

    assert replay["same"] is True
    assert replay["differences"] == []
    assert replay["diff"] == []


async def test_endless_answers_are_not_compared_line_by_line(
    guided_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("\n".join(f"line {n % 100}" for n in range(5_000)))
    before = await ask(guided_api, QUESTION)
    upstream.behave = upstream.answers("\n".join(f"line {n % 99}" for n in range(5_000)))

    replay = (await guided_api.post(f"/v1/messages/{before['id']}/replay")).json()

    assert (replay["same"], replay["diff"]) == (False, [])


async def test_a_replay_does_not_search_again(
    guided_api: httpx2.AsyncClient, ingest: Ingest
) -> None:
    before = await ask(guided_api, QUESTION)
    await ingest({"better.md": "# Start the service\n\nStart the service with `make run`.\n"})
    await until_found(guided_api, "better.md")

    replay = (await guided_api.post(f"/v1/messages/{before['id']}/replay")).json()

    assert [source["path"] for source in replay["answer"]["sources"]] == ["guide.md"]


async def test_a_changed_document_can_not_be_replayed(
    guided_api: httpx2.AsyncClient, upstream: Upstream, ingest: Ingest
) -> None:
    before = await ask(guided_api, QUESTION)
    await ingest({"guide.md": GUIDE.replace("run-dev", "run")})
    asked = len(upstream.requests)

    response = await guided_api.post(f"/v1/messages/{before['id']}/replay")

    assert response.status_code == 409
    assert response.json()["error"]["code"] == "passages_gone"
    assert response.json()["error"]["details"] == {"passages": [1]}
    assert len(upstream.requests) == asked


async def test_a_model_that_is_no_longer_allowed_is_replaced_by_the_default(
    guided_api: httpx2.AsyncClient, database_url: str
) -> None:
    before = await ask(guided_api, QUESTION)
    execute(
        database_url,
        "UPDATE message SET model = 'gone', "
        """trace = jsonb_set(trace, '{requested_model}', '"gone"') WHERE role = 'assistant'""",
    )

    replay = (await guided_api.post(f"/v1/messages/{before['id']}/replay")).json()

    assert {"what": "model", "before": "gone", "after": MODEL} in replay["differences"]
