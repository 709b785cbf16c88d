"""GET /v1/chats/{id}/messages: the branch that is shown, and the others."""

from typing import Any
from uuid import uuid4

import httpx2

from tests.chat.chats.conversations import Conversation, Conversations
from tests.support import fetch


async def read(api: httpx2.AsyncClient, url: str, **params: Any) -> list[dict[str, Any]]:
    response = await api.get(url, params=params)
    assert response.status_code == 200, response.text
    messages: list[dict[str, Any]] = response.json()
    return messages


async def shown(api: httpx2.AsyncClient, chat: Conversation, **params: Any) -> list[str]:
    """Return the texts of a branch, oldest first."""
    messages = await read(api, f"{chat.path}/messages", **params)
    return [message["message"] for message in reversed(messages)]


async def test_messages_are_newest_first_and_follow_each_other(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    conversations.begin("another").talk(1)
    chat = conversations.begin()
    ids = chat.talk(2)

    last_answer, last_question, answer, question = await read(api, f"{chat.path}/messages")

    assert [one["id"] for one in (last_answer, last_question, answer, question)] == ids
    assert last_answer == {
        "id": ids[0],
        "created_at": last_answer["created_at"],
        "question_id": ids[1],
        "chat_id": chat.id,
        "parent_id": None,
        "role": "assistant",
        "status": "complete",
        "model": "offline-extractive",
        "message": "Answer 1.",
        "usage": {"prompt_tokens": None, "completion_tokens": None, "cost": None},
        "sources": [],
        "citations": [],
        "alternatives": [ids[0]],
        "html": None,
    }
    assert (last_question["role"], last_question["parent_id"]) == ("user", ids[2])
    assert (question["question_id"], question["parent_id"]) == (None, None)


async def test_a_message_can_be_read_by_itself(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    chat.talk(1)
    alone = (await api.post("/v1/completion", json={"message": "Hello"})).json()["id"]

    for message in await read(api, f"{chat.path}/messages"):
        by_itself = await api.get(f"/v1/messages/{message['id']}")
        del message["alternatives"], message["html"]
        assert by_itself.json() == message
        assert message in await read(api, "/v1/messages")
    assert (await api.get(f"/v1/messages/{alone}")).json()["chat_id"] is None
    unknown = await api.get(f"/v1/messages/{uuid4()}")
    assert unknown.status_code == 404
    assert unknown.json()["detail"] == "There is no such message."


async def test_other_answers_and_questions_stand_in_the_same_place(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    first = chat.ask("first?")
    answers = [chat.answer(f"answer {number}", to=first) for number in range(3)]
    seconds = [chat.ask(f"second {number}?", after=answers[1]) for number in range(2)]
    other_first = chat.ask("other first?", first=True)
    # Of another chat, whose first question has no parent either.
    conversations.begin().talk(1)

    places = {
        message["id"]: message["alternatives"]
        for leaf_id in (seconds[0], other_first)
        for message in await read(api, f"{chat.path}/messages", leaf_id=leaf_id)
    }

    assert places == {
        first: [first, other_first],
        other_first: [first, other_first],
        answers[1]: answers,
        seconds[0]: seconds,
    }


async def test_a_question_that_went_on_without_an_answer_stands_beside_a_late_answer(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    first = chat.ask("first?")
    second = chat.ask("second?")
    late = chat.answer("late", to=first)

    assert await shown(api, chat) == ["first?", "late"]
    assert await shown(api, chat, leaf_id=second) == ["first?", "second?"]
    [message, _] = await read(api, f"{chat.path}/messages")
    assert message["alternatives"] == [second, late]


async def test_a_replayed_answer_outside_of_the_chat_is_not_in_it(
    api: httpx2.AsyncClient, conversations: Conversations, database_url: str
) -> None:
    chat = conversations.begin()
    question, answer = chat.ask(), chat.answer()
    [(outside,)] = fetch(
        database_url,
        "INSERT INTO message (account_id, role, model, message, question_id)"
        f" VALUES ('{chat.account_id}', 'assistant', 'm', 'again', '{question}')"
        " RETURNING CAST(id AS text)",
    )

    [message, _] = await read(api, f"{chat.path}/messages")

    assert message["alternatives"] == [answer]
    for params in ({"leaf_id": outside}, {"leaf_id": str(uuid4())}):
        response = await api.get(f"{chat.path}/messages", params=params)
        assert response.status_code == 404
        assert response.json()["detail"] == "There is no such message in this chat."


async def test_the_branch_that_is_shown_can_be_changed(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    first = chat.ask("first?")
    old, new = chat.answer("old", to=first), chat.answer("new", to=first)
    chat.ask("after new?", after=new)
    chat.ask("after old?", after=old)
    chat.answer("about old")

    async def show(message_id: str) -> list[str]:
        response = await api.patch(chat.path, json={"head_id": message_id})
        assert response.status_code == 200, response.text
        assert response.json()["message_count"] == 6
        return await shown(api, chat)

    assert await show(new) == ["first?", "new", "after new?"]
    assert await show(old) == ["first?", "old", "after old?", "about old"]
    await show(new)
    # It leads to both: the newest message is in the other branch.
    assert await show(first) == ["first?", "old", "after old?", "about old"]


async def test_a_leaf_shows_a_branch_once(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    first = chat.ask("first?")
    old = chat.answer("old", to=first)
    chat.ask("after old?")
    chat.answer("new", to=first)

    assert await shown(api, chat, leaf_id=old) == ["first?", "old", "after old?"]
    assert await shown(api, chat) == ["first?", "new"]


async def test_a_branch_ends_where_nothing_follows_even_if_a_clock_was_set_back(
    api: httpx2.AsyncClient, conversations: Conversations, database_url: str
) -> None:
    chat = conversations.begin()
    first = chat.ask("first?")
    chat.answer("answer")
    for hours in (1, 2):
        asked = chat.ask(f"{hours} hours before?")
        fetch(
            database_url,
            f"UPDATE message SET created_at = created_at - interval '{hours} hours'"
            f" WHERE id = '{asked}' RETURNING id",
        )

    branch = await shown(api, chat, leaf_id=first)

    assert branch == ["first?", "answer", "1 hours before?", "2 hours before?"]


async def test_pages_of_a_branch_follow_each_other_whatever_is_shown_by_then(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    ids = chat.talk(5)

    pages, url = [], f"{chat.path}/messages?limit=3"
    while url:
        response = await api.get(url)
        pages.append([message["id"] for message in response.json()])
        url = response.links.get("next", {}).get("url", "")
        chat.ask("Something else?", first=True)

    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [message_id for page in pages for message_id in page] == ids


async def test_a_chat_that_lost_its_head_is_shown_empty(
    api: httpx2.AsyncClient, conversations: Conversations, database_url: str
) -> None:
    chat = conversations.begin()
    chat.talk(1)
    fetch(database_url, "UPDATE chat SET head_id = gen_random_uuid() RETURNING id")

    assert await shown(api, chat) == []
