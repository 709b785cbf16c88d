"""A very long chat and a very bushy one."""

from typing import Any

import httpx2

from tests.chat.chats.conversations import Conversations
from tests.support import fetch

MESSAGES = 5_000
ALTERNATIVES = 500


async def pages(api: httpx2.AsyncClient, url: str) -> list[list[dict[str, Any]]]:
    """Follow a list to its end."""
    found = []
    while url:
        response = await api.get(url)
        assert response.status_code == 200, response.text
        found.append(response.json())
        url = response.links.get("next", {}).get("url", "")
    return found


async def test_a_chat_of_5000_messages_is_read_to_its_beginning(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin_long(MESSAGES)

    branch = await pages(api, f"{chat.path}/messages?limit=200")

    assert [len(page) for page in branch] == [200] * 25
    messages = [message for page in branch for message in page]
    assert [message["message"] for message in messages] == [
        f"Message {number}" for number in range(MESSAGES, 0, -1)
    ]
    assert all(message["alternatives"] == [message["id"]] for message in messages)
    assert (await api.get(chat.path)).json()["message_count"] == MESSAGES


async def test_the_first_of_5000_messages_leads_to_the_last(
    api: httpx2.AsyncClient, conversations: Conversations, database_url: str
) -> None:
    chat = conversations.begin_long(MESSAGES)
    [(first,)] = fetch(
        database_url, "SELECT CAST(id AS text) FROM message WHERE message = 'Message 1'"
    )
    chat.ask("Another branch?", first=True)

    through = await api.get(f"{chat.path}/messages", params={"leaf_id": first, "limit": 1})
    await api.patch(chat.path, json={"head_id": first})
    shown = await api.get(f"{chat.path}/messages", params={"limit": 1})

    assert through.json() == shown.json()
    assert shown.json()[0]["message"] == f"Message {MESSAGES}"


async def test_500_alternatives_are_told_in_their_place_alone(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    question = chat.ask("What else?")
    answers = [chat.answer(f"Answer {number}", to=question) for number in range(ALTERNATIVES)]
    follow_ups = [chat.ask(f"And {number}?", after=answers[7]) for number in range(ALTERNATIVES)]

    [[last], [answer], [first]] = await pages(api, f"{chat.path}/messages?limit=1")
    whole = (await api.get(f"{chat.path}/messages", params={"leaf_id": answers[7]})).json()

    assert (last["id"], last["alternatives"]) == (follow_ups[-1], follow_ups)
    assert (answer["id"], answer["alternatives"]) == (answers[7], answers)
    assert (first["id"], first["alternatives"]) == (question, [question])
    assert whole == [last, answer, first]
    assert (await api.get(chat.path)).json()["message_count"] == 2 * ALTERNATIVES + 1


async def test_a_long_chat_is_deleted(
    api: httpx2.AsyncClient, conversations: Conversations, database_url: str
) -> None:
    chat = conversations.begin_long(MESSAGES)

    assert (await api.delete(chat.path)).status_code == 204
    assert fetch(database_url, "SELECT count(*) FROM message") == [(0,)]
