"""GET /v1/chats?search=: chats by what is said in them."""

from typing import Any

import httpx2
import pytest

from tests.chat.chats.conversations import Conversations

METACHARACTERS = ["%", "_", "\\", "50% of a_b\\c", "'; DROP TABLE chat; --", ":name", "%%", "[^a]"]


async def found(api: httpx2.AsyncClient, search: str) -> list[dict[str, Any]]:
    response = await api.get("/v1/chats", params={"search": search})
    assert response.status_code == 200, response.text
    chats: list[dict[str, Any]] = response.json()
    return chats


async def test_titles_and_messages_are_searched_and_each_chat_found_once(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    in_title, in_question, in_answer, nowhere = (
        conversations.begin(title) for title in ("To the harbour", "b", "c", "d")
    )
    in_title.talk(2)
    in_question.ask("Where is the harbour?")
    in_question.ask("And the harbour's ships?")
    in_answer.ask()
    in_answer.answer("It is in the harbour.")
    nowhere.talk(1)

    chats = await found(api, "harbour")

    assert [(chat["title"], chat["snippet"]) for chat in chats] == [
        ("c", "It is in the harbour."),
        ("b", "And the harbour's ships?"),
        ("To the harbour", "To the harbour"),
    ]
    assert [chat["message_count"] for chat in chats] == [2, 2, 4]


async def test_messages_of_every_branch_are_found(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin("a")
    chat.ask("Where is the harbour?")
    chat.ask("Where is the station?", first=True)

    assert [one["id"] for one in await found(api, "harbour")] == [chat.id]


@pytest.mark.parametrize("search", ["ÄRGER", "ärger", " Ärger  ", "r mit ö", "ger\nmit"])
async def test_it_is_found_in_any_case_and_within_words(
    api: httpx2.AsyncClient, conversations: Conversations, search: str
) -> None:
    conversations.begin("a").ask("Schon wieder Verärgerung?")
    chat = conversations.begin("b")
    chat.ask("Ärger mit Öl.\nÄrger\nmit Wasser.")

    ids = [one["id"] for one in await found(api, search)]

    assert chat.id in ids
    assert (len(ids) == 2) == (search.strip().lower() == "ärger")


async def test_no_character_stands_for_others(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    conversations.begin("Anything at all").ask("What else?")
    for searched in METACHARACTERS:
        in_title = conversations.begin(f"<{searched}>")
        in_message = conversations.begin("In a message")
        in_message.ask(f"Was <{searched}> said?")

        chats = await found(api, f"<{searched}>")

        assert [(chat["id"], chat["snippet"]) for chat in chats] == [
            (in_message.id, f"Was <{searched}> said?"),
            (in_title.id, f"<{searched}>"),
        ]


async def test_what_is_found_comes_in_pages(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    for number in range(10):
        conversations.begin(f"{'harbour' if number % 2 else 'station'} {number}")

    pages, url = [], "/v1/chats?search=harbour&limit=2"
    while url:
        response = await api.get(url)
        pages.append([chat["title"] for chat in response.json()])
        url = response.links.get("next", {}).get("url", "")

    assert pages == [["harbour 9", "harbour 7"], ["harbour 5", "harbour 3"], ["harbour 1"]]


async def test_what_nobody_can_search_for_is_refused(api: httpx2.AsyncClient) -> None:
    for search in ("", "   ", "a\0b", "x" * 201):
        response = await api.get("/v1/chats", params={"search": search})

        assert response.status_code == 422
        assert response.json()["detail"].startswith("search: ")


async def test_the_longest_search(api: httpx2.AsyncClient, conversations: Conversations) -> None:
    conversations.begin().ask("y" + "x" * 200)

    [chat] = await found(api, "X" * 200)

    assert chat["snippet"] == "y" + "x" * 200
