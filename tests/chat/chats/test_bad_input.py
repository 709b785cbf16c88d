"""What the routes about chats refuse, and how they say so."""

import base64
from datetime import UTC, datetime
from uuid import uuid4

import httpx2
import pytest

from app.core.paging import encode_cursor
from tests.chat.chats.conversations import Conversations
from tests.chat.hostile_texts import HOSTILE_TEXTS

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"title": ""}', "title: must not be empty"),
        (b'{"title": " \\n "}', "title: must not be empty"),
        (b'{"title": "a\\u0000b"}', "title: must not contain a NUL character"),
        (b'{"title": "a\\nb"}', "title: must be one line"),
        (b'{"title": "a\\u001b[2J"}', "title: must be one line"),
        (b'{"title": "a\\u2028b"}', "title: must be one line"),
        (b'{"title": "a \\ud83d"}', "title: "),
        (b'{"title": "%s"}' % (b"x" * 201), "title: "),
        (b'{"title": 5}', "title: Input should be a valid string"),
        (b'{"titel": "a"}', "titel: "),
        (b'["a"]', "body: "),
        (b'"a"', "body: "),
    ],
)
async def test_titles_that_nobody_could_read_are_refused(
    api: httpx2.AsyncClient, conversations: Conversations, body: bytes, words: str
) -> None:
    chat = conversations.begin("as it was")

    for response in (
        await api.post("/v1/chats", content=body, headers=JSON),
        await api.patch(chat.path, content=body, headers=JSON),
    ):
        assert response.status_code == 422, response.text
        assert words in response.json()["detail"]
    assert [one["title"] for one in (await api.get("/v1/chats")).json()] == ["as it was"]


@pytest.mark.parametrize(
    "title", ["x" * 200, f" {'x' * 200} ", "'; DROP TABLE chat; --", "%s :name {0}", "👩‍👩‍👧 Ünï"]
)
async def test_every_other_title_is_kept(api: httpx2.AsyncClient, title: str) -> None:
    chat = (await api.post("/v1/chats", json={"title": title})).json()

    assert chat["title"] == title.strip()
    assert (await api.get(f"/v1/chats/{chat['id']}")).json() == chat


@pytest.mark.parametrize(
    "head_id", ["nonsense", "", 5, ["a"], "' OR true --", "00000000-0000-0000-0000-00000000000g"]
)
async def test_a_head_that_is_no_id_is_refused(
    api: httpx2.AsyncClient, conversations: Conversations, head_id: object
) -> None:
    chat = conversations.begin()
    chat.talk(1)

    response = await api.patch(chat.path, json={"head_id": head_id})
    listing = await api.get(f"{chat.path}/messages", params={"leaf_id": str(head_id)})

    assert (response.status_code, listing.status_code) == (422, 422)
    assert response.json()["detail"].startswith("head_id: ")
    assert listing.json()["detail"].startswith("leaf_id: ")


async def test_a_message_of_another_chat_is_no_head(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat, other = conversations.begin("as it was"), conversations.begin()
    [answer, _] = chat.talk(1)
    other.talk(1)

    for head_id in (other.head, str(uuid4()), other.id, chat.id):
        change = {"head_id": head_id, "title": "changed"}
        response = await api.patch(chat.path, json=change)
        listing = await api.get(f"{chat.path}/messages", params={"leaf_id": head_id or ""})

        for refused in (response, listing):
            assert refused.status_code == 404
            assert refused.json()["error"]["code"] == "message_not_found"
    assert (await api.get(chat.path)).json()["title"] == "as it was"
    assert (await api.get(f"{chat.path}/messages")).json()[0]["id"] == answer


async def test_cursors_that_are_not_ours_are_refused(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat, other = conversations.begin(), conversations.begin()
    chat.talk(1)
    other.talk(1)
    now = datetime.now(UTC)
    not_a_time = base64.urlsafe_b64encode(f"yesterday {uuid4()}".encode()).decode()

    for cursor in ("nonsense", "AAAA", "ÿ", "\0", "x" * 10_000, not_a_time):
        for path in ("/v1/chats", f"{chat.path}/messages"):
            response = await api.get(path, params={"cursor": cursor})

            assert response.status_code == 422
            assert "Link header" in response.json()["detail"]
    # Well made, but of no message of this chat.
    for message_id in (uuid4(), other.head):
        cursor = base64.urlsafe_b64encode(f"{now.isoformat()} {message_id}".encode()).decode()
        response = await api.get(f"{chat.path}/messages", params={"cursor": cursor})

        assert response.status_code == 422
        assert "Link header" in response.json()["detail"]
    assert (await api.get("/v1/chats", params={"cursor": encode_cursor(now, uuid4())})).json()


async def test_the_limit_is_between_1_and_200(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    chat = conversations.begin()

    for path in ("/v1/chats", f"{chat.path}/messages"):
        for limit in ("0", "201", "-1", "many", "1e2"):
            response = await api.get(path, params={"limit": limit})

            assert response.status_code == 422
            assert response.json()["detail"].startswith("limit:")


@pytest.mark.parametrize("path", ["/v1/chats/{0}", "/v1/chats/{0}/messages", "/v1/messages/{0}"])
async def test_what_is_no_id_is_refused(api: httpx2.AsyncClient, path: str) -> None:
    for wrong in ("1", "null", "' OR true --", "%00", "x" * 2_000):
        response = await api.get(path.format(wrong))

        assert response.status_code == 422
        assert response.json()["error"]["code"] == "invalid_request"


async def test_whatever_was_said_is_listed_and_found_as_it_is(
    api: httpx2.AsyncClient, conversations: Conversations
) -> None:
    # PostgreSQL knows no NUL, and nobody searches for white space.
    texts = [text.replace("\0", " ") for text in HOSTILE_TEXTS.values() if text.strip()]
    for text in texts:
        chat = conversations.begin()
        chat.ask(text)

        [message] = (await api.get(f"{chat.path}/messages")).json()
        [found, *_] = (await api.get("/v1/chats", params={"search": text.strip()[:200]})).json()

        assert message["message"] == text
        assert found["id"] == chat.id, text
