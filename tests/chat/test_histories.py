"""What of a chat fits into the prompt of its next question."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest
from openai import AsyncOpenAI
from starlette.responses import JSONResponse, Response

from app.accounts.models import LOCAL_ACCOUNT
from app.chat.budget import SMALLEST_CONTEXT_TOKENS, TokenBudget
from app.chat.constants import NO_DOCUMENTS_FOUND, ChatRole
from app.chat.exceptions import MessagesGone
from app.chat.histories import HISTORY_TOKENS, Histories, read_history
from app.chat.past import NO_HISTORY, PackedHistory, PastMessage
from app.chat.prompts import (
    PromptPassage,
    message_text,
    prompt_hash,
    question_messages,
    render_passage,
)
from app.chat.summaries import SUMMARY_TOKENS, Summaries
from app.core.database import Database
from app.core.llm import LLM
from tests.chat.past_messages import chat
from tests.support import execute
from tests.upstream import MODEL, Upstream


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


BUDGET = TokenBudget(8_192, words)
OFFLINE = Histories(BUDGET, None)
# A room in which the history may have 1,000 tokens.
ROOM = HISTORY_TOKENS + 2_000


def long_chat(turns: int) -> list[PastMessage]:
    """A chat in which each turn has about 220 tokens."""
    return chat(
        *(
            text
            for n in range(turns)
            for text in (f"Question {n}?", f"Answer {n}. " + "four " * 160)
        )
    )


async def pack(past: Sequence[PastMessage], room: int, histories: Histories) -> PackedHistory:
    return await histories.pack(past, room, account_id=LOCAL_ACCOUNT, model=MODEL)


async def test_a_short_chat_is_told_as_a_whole() -> None:
    past = long_chat(3)

    packed = await pack(past, ROOM, OFFLINE)

    assert list(packed.messages) == past
    assert packed.used.message_ids == [one.id for one in past]
    assert (packed.used.given, packed.used.summarised, packed.used.left_out) == (6, 0, 0)


async def test_of_a_long_chat_the_newest_turns_are_told() -> None:
    past = long_chat(20)

    packed = await pack(past, ROOM, OFFLINE)

    assert list(packed.messages) == past[-len(packed.messages) :]
    assert packed.messages[0].role is ChatRole.USER
    assert (packed.used.given, packed.used.left_out) == (8, 32)
    assert (packed.summary, packed.used.summary_of) == ("", None)


async def test_what_history_leaves_is_for_passages() -> None:
    assert (await pack([], ROOM, OFFLINE)).tokens == 0
    short = await pack(chat("One?", "Yes."), ROOM, OFFLINE)
    assert HISTORY_TOKENS < short.tokens < HISTORY_TOKENS + 50


async def test_without_passages_history_may_have_all_of_the_room() -> None:
    past = long_chat(20)

    packed = await OFFLINE.pack(
        past, ROOM, account_id=LOCAL_ACCOUNT, model=MODEL, with_passages=False
    )

    assert packed.used.given > 2 * (await pack(past, ROOM, OFFLINE)).used.given - 4


async def test_a_question_that_leaves_only_the_smallest_context_comes_alone() -> None:
    packed = await pack(long_chat(2), SMALLEST_CONTEXT_TOKENS + HISTORY_TOKENS, OFFLINE)

    assert (packed.messages, packed.tokens, packed.used.left_out) == ((), 0, 4)


def any_text(chance: random.Random) -> str:
    kind = chance.choice(
        ["word ", "長い", "deadbeef" * 9, "🏔️", "[1] ", "`a[0]` ", "\n", "<passage "]
    )
    return kind * chance.choice([0, 1, 10, 100, 1_000])


@pytest.mark.parametrize("seed", range(60))
async def test_nothing_that_is_packed_ever_exceeds_the_window(seed: int) -> None:
    chance = random.Random(seed)
    budget = TokenBudget(chance.choice([4_096, 8_192, 32_000]), words)
    histories = Histories(budget, None)
    texts = [
        chance.choice([any_text(chance), any_text(chance), NO_DOCUMENTS_FOUND, None])
        if n % 2
        else any_text(chance)
        for n in range(chance.choice([0, 1, 2, 9, 60, 199]))
    ]
    past = chat(*texts)
    question = "Why? " * chance.choice([1, 20, 200])
    room = await budget.room_beside(question)

    packed = await pack(past, room, histories)

    used = packed.used
    assert used.given + used.left_out == len(past)
    assert list(packed.messages) == past[len(past) - used.given :]
    assert packed.tokens == 0 or room - packed.tokens >= SMALLEST_CONTEXT_TOKENS
    texts_of_passages = ["Passage. " * 100] * 50
    passages = [PromptPassage(n, "a.md", "A", (), one) for n, one in enumerate(texts_of_passages)]
    fitting = await budget.pack(
        [[(one, render_passage(one))] for one in passages], room - packed.tokens
    )
    meant = "word " * 100 if packed.tokens else None
    messages = question_messages(question, fitting, history=packed, meant=meant)
    await budget.check("".join(map(message_text, messages)))


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="none", base_url=upstream.url, max_retries=0) as client:
        yield client


@pytest.fixture
def histories(database: Database, client: AsyncOpenAI) -> Histories:
    return Histories(BUDGET, Summaries(database, BUDGET, LLM(client, timeout_sec=5)))


def store(database_url: str, past: Sequence[PastMessage]) -> None:
    """Store a past as a chat of the local account."""
    chat_id = uuid4()
    execute(
        database_url,
        f"INSERT INTO chat (id, account_id) VALUES ('{chat_id}', '{LOCAL_ACCOUNT}')",
    )
    question_id = None
    for one in past:
        is_question = one.role is ChatRole.USER
        if is_question:
            question_id = one.id
        execute(
            database_url,
            "INSERT INTO message (id, account_id, chat_id, role, question_id, model, message) "
            f"VALUES ('{one.id}', '{LOCAL_ACCOUNT}', '{chat_id}', '{one.role.value}', "
            f"{'NULL' if is_question else repr(str(question_id))}, 'm', '{one.text}')",
        )


async def test_older_turns_are_summed_up_once(
    histories: Histories, upstream: Upstream, database_url: str
) -> None:
    past = long_chat(12)
    store(database_url, past)
    upstream.behave = upstream.answers(" They talked of lakes. ")

    packed = await pack(past, ROOM, histories)

    used = packed.used
    assert packed.summary == "They talked of lakes."
    assert used.given + used.summarised == len(past)
    assert used.given > 0
    assert used.summary_of == past[used.summarised - 1].id
    [asked] = upstream.requests
    data = json.loads(asked["messages"][-1]["content"])
    assert data["summary"] == ""
    assert len(data["messages"]) == used.summarised

    assert await pack(past, ROOM, histories) == packed
    assert len(upstream.requests) == 1


async def test_the_next_questions_do_with_the_same_summary_for_a_while(
    histories: Histories, upstream: Upstream, database_url: str
) -> None:
    past = long_chat(14)
    store(database_url, past)
    upstream.behave = upstream.answers("Summary one.")
    first = await pack(past[:24], ROOM, histories)

    again = await pack(past[:26], ROOM, histories)

    assert len(upstream.requests) == 1
    assert again.used.summary_of == first.used.summary_of
    assert again.used.given == first.used.given + 2


async def test_a_new_summary_builds_on_the_one_before(
    histories: Histories, upstream: Upstream, database_url: str
) -> None:
    past = long_chat(20)
    store(database_url, past)
    upstream.behave = upstream.answers("Summary one.")
    first = await pack(past[:20], ROOM, histories)
    upstream.behave = upstream.answers("Summary two.")

    second = await pack(past, ROOM, histories)

    data = json.loads(upstream.requests[-1]["messages"][-1]["content"])
    assert data["summary"] == "Summary one."
    assert data["messages"][0]["text"] == past[first.used.summarised].text
    assert second.summary == "Summary two."
    assert second.used.given + second.used.summarised == len(past)


async def test_a_branch_has_no_summary_of_another(
    histories: Histories, upstream: Upstream, database_url: str
) -> None:
    past, other = long_chat(12), long_chat(12)
    store(database_url, past)
    store(database_url, other)
    upstream.behave = upstream.answers("Summary one.")
    await pack(past, ROOM, histories)
    upstream.behave = upstream.answers("Summary two.")

    assert (await pack(other, ROOM, histories)).summary == "Summary two."


async def test_what_cannot_be_summed_up_is_left_out(
    histories: Histories, upstream: Upstream, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_: object) -> Response:
        return JSONResponse({"error": {"message": "broken"}}, 500)

    past = long_chat(20)
    store(database_url, past)
    upstream.behave = refuse

    assert await pack(past, ROOM, histories) == await pack(past, ROOM, OFFLINE)
    assert "could not be summed up" in caplog.text


async def test_a_summary_that_is_too_long_is_cut(
    histories: Histories, upstream: Upstream, database_url: str
) -> None:
    past = long_chat(12)
    store(database_url, past)
    upstream.behave = upstream.answers("湖" * 5_000)

    packed = await pack(past, ROOM, histories)

    assert (await BUDGET.count([packed.summary]))[0] <= SUMMARY_TOKENS
    assert packed.summary.endswith("[…]")
    assert packed.tokens <= HISTORY_TOKENS + 1_000


async def test_so_many_turns_that_no_prompt_holds_them_are_summed_up_bit_by_bit(
    histories: Histories, upstream: Upstream, database_url: str
) -> None:
    past = long_chat(60)
    store(database_url, past)
    upstream.behave = upstream.answers("So far.")

    first = await pack(past, ROOM, histories)
    for _ in range(3):
        last = await pack(past, ROOM, histories)

    assert first.used.left_out > 0
    assert last.used.left_out == 0
    for request in upstream.requests:
        await BUDGET.check("".join(map(message_text, request["messages"])))


async def test_the_same_messages_give_the_same_prompt_again(
    histories: Histories, upstream: Upstream, database: Database, database_url: str
) -> None:
    past = long_chat(12)
    store(database_url, past)
    upstream.behave = upstream.answers("Summary.")
    packed = await pack(past, ROOM, histories)

    again = await database.run(read_history, packed.used, LOCAL_ACCOUNT)

    def hashed(history: PackedHistory) -> str:
        return prompt_hash(question_messages("Why?", [], history=history))

    assert hashed(again) == hashed(packed)
    assert hashed(again) != hashed(NO_HISTORY)


@pytest.mark.parametrize("room", range(HISTORY_TOKENS + 1_000, HISTORY_TOKENS + 2_400, 100))
async def test_a_summary_never_takes_more_room_than_there_is(
    histories: Histories, upstream: Upstream, database_url: str, room: int
) -> None:
    past = long_chat(12)
    store(database_url, past)
    upstream.behave = upstream.answers("word " * 1_000)

    packed = await pack(past, room, histories)

    assert packed.tokens == 0 or room - packed.tokens >= SMALLEST_CONTEXT_TOKENS
    assert packed.tokens <= HISTORY_TOKENS + (room - HISTORY_TOKENS) // 2


@pytest.mark.parametrize("table", ["message", "chat_summary"])
async def test_what_is_gone_cannot_be_told_again(
    histories: Histories, upstream: Upstream, database: Database, database_url: str, table: str
) -> None:
    past = long_chat(12)
    store(database_url, past)
    upstream.behave = upstream.answers("Summary.")
    packed = await pack(past, ROOM, histories)
    execute(database_url, f"DELETE FROM {table}")

    with pytest.raises(MessagesGone):
        await database.run(read_history, packed.used, LOCAL_ACCOUNT)


async def test_nobody_elses_messages_are_told_again(
    histories: Histories, upstream: Upstream, database: Database, database_url: str
) -> None:
    past = long_chat(12)
    store(database_url, past)
    packed = await pack(past, ROOM, histories)

    with pytest.raises(MessagesGone):
        await database.run(read_history, packed.used, uuid4())
    assert (await histories.pack(past, ROOM, account_id=uuid4(), model=MODEL)).used.given
    assert len(upstream.requests) == 2
