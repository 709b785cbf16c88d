"""What fits into the language model's context window."""

from collections.abc import AsyncIterator, Sequence

import httpx2
import pytest

from app.chat.budget import TokenBudget
from app.chat.models import SourceText
from app.core.exceptions import InvalidRequest
from settings import Settings
from tests.chat.asking import ask, until_found
from tests.conftest import Ingest
from tests.support import open_client
from tests.upstream import Upstream


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def passage(number: int, length: int) -> SourceText:
    return SourceText(
        number=number,
        document_id=None,
        chunk_id=None,
        path="",
        title="",
        heading_path=[],
        start=0,
        end=1,
        score=None,
        text="word " * length,
    )


def test_the_best_passages_are_packed_as_far_as_they_fit() -> None:
    budget = TokenBudget(4_096, words)
    passages = [passage(1, 400), passage(2, 400), passage(3, 400)]

    packed = budget.pack(passages, 1_200)

    # 2,000 bytes count as 500 tokens at least, however few the tokenizer says.
    assert [p.number for p in packed] == [1, 2]


def test_a_later_passage_does_not_jump_the_queue() -> None:
    budget = TokenBudget(4_096, words)

    packed = budget.pack([passage(1, 100), passage(2, 900), passage(3, 10)], 500)

    assert [p.number for p in packed] == [1]


def test_the_answer_keeps_a_quarter_of_the_window() -> None:
    budget = TokenBudget(4_096, words)

    budget.check("word " * (3_072 * 4 // 5))
    with pytest.raises(InvalidRequest, match="CONTEXT_TOKENS"):
        budget.check("word " * (3_072 * 4 // 5 + 4))


def test_a_question_leaves_room_for_passages() -> None:
    budget = TokenBudget(4_096, words)

    assert budget.for_passages("Why?") > 2_700
    with pytest.raises(InvalidRequest, match="message"):
        budget.for_passages("word " * 2_400)


def test_a_tokenizer_that_knows_no_word_is_not_believed() -> None:
    budget = TokenBudget(2_048, lambda texts: [1 for _ in texts])

    with pytest.raises(InvalidRequest):
        budget.check("🏔️" * 2_000)


@pytest.fixture
async def small_window(
    upstream_settings: Settings, embedder: object
) -> AsyncIterator[httpx2.AsyncClient]:
    settings = upstream_settings.model_copy(update={"context_tokens": 2_048})
    async with open_client(settings) as client:
        yield client


async def test_passages_beyond_the_window_are_left_out_and_the_trace_says_so(
    ingest: Ingest, small_window: httpx2.AsyncClient, upstream: Upstream
) -> None:
    files = {
        f"{n}.md": f"# Lake {n}\n\n" + f"The lake number {n} is deep, cold and clear. " * 18
        for n in range(5)
    }
    await ingest(dict(files))
    await until_found(small_window, *files)

    question = "How is the lake? " + "Please tell me all about it. " * 60
    answer = await ask(small_window, question)

    trace = (await small_window.get(f"/v1/messages/{answer['id']}/trace")).json()
    assert 0 < len(answer["sources"]) < 5
    assert trace["left_out"] == 5 - len(answer["sources"])
    prompt = upstream.requests[-1]["messages"][-1]["content"]
    assert prompt.count("<passage") == len(answer["sources"])


@pytest.mark.parametrize("path", ["/v1/completion", "/v1/qa-create", "/v1/qa-stream"])
async def test_a_question_that_is_too_long_for_the_model_never_reaches_it(
    small_window: httpx2.AsyncClient, upstream: Upstream, path: str
) -> None:
    response = await small_window.post(path, json={"message": "word " * 1_590})

    assert response.status_code == 422
    assert "context window of 2,048" in response.json()["detail"]
    assert upstream.requests == []
