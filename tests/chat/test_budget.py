"""What fits into the language model's context window."""

from collections.abc import AsyncIterator, Sequence

import httpx2
import pytest
from starlette.responses import JSONResponse

from app.chat.budget import TokenBudget
from app.core.exceptions import InvalidRequest
from settings import Settings
from tests.chat.asking import ask, until_found
from tests.conftest import Ingest
from tests.support import open_client
from tests.upstream import Upstream


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def text(length: int) -> str:
    """A text of so many words, each of which is a token."""
    return "four " * length


async def test_the_best_passages_are_packed_as_far_as_they_fit() -> None:
    budget = TokenBudget(4_096, words)
    items = [[(number, text(400))] for number in (1, 2, 3)]

    # 2,000 bytes are 500 tokens at least, however few the tokenizer says.
    assert await budget.pack(items, 1_200) == [1, 2]
    assert await budget.pack(items, 1_500) == [1, 2, 3]


async def test_what_does_not_fit_leaves_its_place_to_the_next() -> None:
    budget = TokenBudget(4_096, words)

    packed = await budget.pack([[(1, text(300))], [(2, text(900))], [(3, text(10))]], 500)

    assert packed == [1, 3]


async def test_of_a_passage_that_is_too_long_a_shorter_form_is_taken() -> None:
    budget = TokenBudget(4_096, words)

    packed = await budget.pack([[("whole", text(900)), ("best", text(100))]], 500)

    assert packed == ["best"]


async def test_the_answer_keeps_a_quarter_of_the_window() -> None:
    budget = TokenBudget(4_096, words)

    await budget.check(text(3_072 * 4 // 5))
    with pytest.raises(InvalidRequest, match="CONTEXT_TOKENS"):
        await budget.check(text(3_072 * 4 // 5 + 4))


async def test_a_question_leaves_room_for_passages() -> None:
    budget = TokenBudget(4_096, words)

    assert await budget.room_beside("Why?") > 2_600
    with pytest.raises(InvalidRequest, match="message"):
        await budget.room_beside(text(1_400))


@pytest.mark.parametrize("message", ["🏔️" * 1_200, "א" * 3_200, "deadbeef" * 800, "中" * 2_100])
async def test_a_tokenizer_that_knows_no_word_is_not_believed(message: str) -> None:
    budget = TokenBudget(4_096, lambda texts: [1 for _ in texts])

    with pytest.raises(InvalidRequest):
        await budget.check(message)


@pytest.fixture
async def small_window(
    upstream_settings: Settings, embedder: object
) -> AsyncIterator[httpx2.AsyncClient]:
    settings = upstream_settings.model_copy(update={"context_tokens": 4_096})
    async with open_client(settings) as client:
        yield client


LAKES = {
    f"{n}.md": f"# Lake {n}\n\n" + f"The lake no. {n} is deep, cold, calm, and clear. " * 16
    for n in range(5)
}
LONG = "How is the lake? " + "Please tell me all about it. " * 226


async def test_passages_beyond_the_window_are_left_out_and_the_trace_says_so(
    ingest: Ingest, small_window: httpx2.AsyncClient, upstream: Upstream
) -> None:
    await ingest(dict(LAKES))
    await until_found(small_window, *LAKES)

    answer = await ask(small_window, LONG)

    trace = (await small_window.get(f"/v1/messages/{answer['id']}/trace")).json()
    numbers = [source["number"] for source in answer["sources"]]
    assert 0 < len(numbers) < 5
    assert numbers == list(range(1, len(numbers) + 1))
    assert trace["left_out"] == 5 - len(numbers)
    prompt = upstream.requests[-1]["messages"][-1]["content"]
    assert prompt.count("<passage") == len(numbers)


async def test_a_passage_of_many_chunks_is_shortened_rather_than_left_out(
    ingest: Ingest, small_window: httpx2.AsyncClient
) -> None:
    text = "# Lakes\n\n" + "\n\n".join(
        f"The lake no. {n} is deep, cold, calm, and clear. " * 16 for n in range(5)
    )
    await ingest({"lakes.md": text})
    await until_found(small_window, "lakes.md")

    whole = await ask(small_window, "How is the lake no. 3?")
    short = await ask(small_window, LONG.replace("the lake?", "the lake no. 3?"))

    assert len(short["sources"][0]["text"]) < 1_000 < len(whole["sources"][0]["text"])


@pytest.mark.parametrize("path", ["/v1/completion", "/v1/qa-create", "/v1/qa-stream"])
async def test_a_question_that_is_too_long_for_the_model_never_reaches_it(
    small_window: httpx2.AsyncClient, upstream: Upstream, path: str
) -> None:
    response = await small_window.post(path, json={"message": "🏔️" * 2_000})

    assert response.status_code == 422
    assert "context window of 4,096" in response.json()["detail"]
    assert upstream.requests == []


async def test_a_replay_that_no_longer_fits_never_reaches_the_model(
    ingest: Ingest, upstream_settings: Settings, upstream: Upstream, embedder: object
) -> None:
    await ingest(dict(LAKES))
    wide = upstream_settings.model_copy(
        update={"context_tokens": 32_000, "retrieval_top_k": 20, "max_message_characters": 20_000}
    )
    async with open_client(wide) as client:
        await until_found(client, *LAKES)
        answer = await ask(client, LONG * 2)
    asked = len(upstream.requests)

    async with open_client(wide.model_copy(update={"context_tokens": 4_096})) as client:
        response = await client.post(f"/v1/messages/{answer['id']}/replay")

    assert response.status_code == 422
    assert len(upstream.requests) == asked


async def test_an_upstream_that_finds_the_prompt_too_long_says_what_to_set(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    async def refuse(_: object) -> JSONResponse:
        error = {"message": "too long", "type": "x", "code": "context_length_exceeded"}
        return JSONResponse({"error": error}, 400)

    upstream.behave = refuse
    response = await upstream_api.post("/v1/completion", json={"message": "Hi"})

    assert response.status_code == 502
    assert "CONTEXT_TOKENS" in response.json()["error"]["details"]["reason"]
