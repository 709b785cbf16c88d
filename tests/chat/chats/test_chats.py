"""/v1/chats: beginning, listing, renaming and deleting chats."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.chat.chats.conversations import ALIVE_SEC, DEAD_SEC, Conversations
from tests.support import fetch

TABLES = ("chat", "message", "chat_summary", "generation", "generation_event")


async def listed(api: httpx2.AsyncClient, url: str = "/v1/chats") -> list[dict[str, Any]]:
    response = await api.get(url)
    assert response.status_code == 200, response.text
    chats: list[dict[str, Any]] = response.json()
    return chats


async def test_a_new_chat_is_empty_and_has_the_title_it_is_given(api: httpx2.AsyncClient) -> None:
    response = await api.post("/v1/chats", json={"title": "  About boats "})
    chat = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/chats/{chat['id']}"
    assert (await api.get(response.headers["location"])).json() == chat
    assert chat == {
        "id": chat["id"],
        "title": "About boats",
        "created_at": chat["created_at"],
        "updated_at": chat["created_at"],
        "message_count": 0,
        "generating": None,
    }
    assert (await api.get(f"{response.headers['location']}/messages")).json() == []


@pytest.mark.parametrize("body", [{}, {"json": {}}, {"json": {"title": None}}])
async def test_a_chat_needs_no_title(api: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    response = await api.post("/v1/chats", **body)

    assert response.status_code == 201
    assert response.json()["title"] == ""


async def test_chats_are_listed_latest_used_first(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    first, second, third = (conversations.begin(title) for title in ("first", "second", "third"))
    first.talk(1)
    # Which is not to go on with it.
    await api.patch(second.path, json={"title": "renamed"})

    chats = await listed(api)

    assert [chat["title"] for chat in chats] == ["first", "third", "renamed"]
    assert [chat["message_count"] for chat in chats] == [2, 0, 0]
    assert [chat["snippet"] for chat in chats] == [None, None, None]
    assert third.head is None


async def test_pages_follow_each_other_without_a_gap_or_a_repeat(
    api: httpx2.AsyncClient, conversations: Conversations, database_url: str
) -> None:
    ids = [conversations.begin().id for _ in range(7)]
    # Some were last used at the same time.
    fetch(database_url, "UPDATE chat SET updated_at = '2026-11-21 10:00:00.000001+0' RETURNING id")
    conversations.begin().talk(1)

    pages, url = [], "/v1/chats?limit=3"
    while url:
        response = await api.get(url)
        pages.append([chat["id"] for chat in response.json()])
        url = response.links.get("next", {}).get("url", "")
        conversations.begin()

    assert [len(page) for page in pages] == [3, 3, 2]
    assert [chat_id for page in pages for chat_id in page][1:] == sorted(ids, reverse=True)


async def test_a_chat_tells_which_answer_is_being_made(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    chat.ask()

    async def generating() -> list[str | None]:
        one, [in_list] = (await api.get(chat.path)).json(), await listed(api)
        return [one["generating"], in_list["generating"]]

    assert await generating() == [None, None]
    answer_id = chat.generate(alive_sec=ALIVE_SEC)
    assert await generating() == [answer_id, answer_id]
    chat.end(answer_id)
    assert await generating() == [None, None]


async def test_what_a_dead_process_has_begun_is_not_being_made(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()
    chat.ask()
    chat.generate(alive_sec=DEAD_SEC)

    assert (await api.get(chat.path)).json()["generating"] is None


async def test_a_chat_is_renamed(api: httpx2.AsyncClient, conversations: Conversations) -> None:
    chat, other = conversations.begin("old"), conversations.begin("other")
    chat.talk(1)
    before = (await api.get(chat.path)).json()

    response = await api.patch(chat.path, json={"title": "new"})
    unchanged = await api.patch(chat.path, json={})

    assert response.status_code == 200
    assert response.json() == before | {"title": "new"} == unchanged.json()
    assert (await api.get(chat.path)).json()["title"] == "new"
    assert (await api.get(other.path)).json()["title"] == "other"


async def test_a_deleted_chat_is_gone_with_all_that_was_in_it(
    api: httpx2.AsyncClient, conversations: Conversations, database_url: str
) -> None:
    kept, deleted = conversations.begin("kept"), conversations.begin("deleted")
    for chat in (kept, deleted):
        messages = chat.talk(3)
        chat.ask(after=messages[2])
        generation = chat.generate(alive_sec=ALIVE_SEC)
        fetch(
            database_url,
            "WITH event AS (INSERT INTO generation_event (generation_id, number, events)"
            f" VALUES ('{generation}', 1, '[]'))"
            f"INSERT INTO chat_summary (message_id, summary) VALUES ('{messages[0]}', 'Talk.')"
            " RETURNING message_id",
        )

    def count() -> list[int]:
        return [fetch(database_url, f"SELECT count(*) FROM {name}")[0][0] for name in TABLES]

    before = count()
    response = await api.delete(deleted.path)

    assert (response.status_code, response.content) == (204, b"")
    assert before == [2, 14, 2, 2, 2]
    assert count() == [1, 7, 1, 1, 1]
    assert [chat["title"] for chat in await listed(api)] == ["kept"]
    for request in (api.get(deleted.path), api.delete(deleted.path)):
        assert (await request).status_code == 404


async def test_chats_that_are_not_there_are_not_found(api: httpx2.AsyncClient) -> None:
    path = f"/v1/chats/{uuid4()}"

    for response in (
        await api.get(path),
        await api.patch(path, json={"title": "new"}),
        await api.delete(path),
        await api.get(f"{path}/messages"),
    ):
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "chat_not_found"
        assert response.json()["detail"] == "There is no such chat."
