"""What asking in a chat, and coming back to an answer, refuses; and what it takes as it is."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.chat.chats.asking import begin_chat, say
from tests.support import fetch, parse_events
from tests.upstream import Upstream

JSON = {"content-type": "application/json"}
LONG = "x" * 8_001
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "message: Field required"),
    ({"message": None}, "message: "),
    ({"message": 5}, "message: Input should be a valid string"),
    ({"message": ["Hi?"]}, "message: Input should be a valid string"),
    ({"message": ""}, "message: must not be empty"),
    ({"message": " \n\t"}, "message: must not be empty"),
    ({"message": "one\0two"}, "message: must not contain a NUL character"),
    ({"message": "half a pair: \ud83d"}, "message: "),
    ({"message": LONG}, "message: must not be longer than 8000 characters"),
    ({"message": "Hi?", "stream": "perhaps"}, "stream: "),
    ({"message": "Hi?", "retrieval": 5}, "retrieval: "),
    ({"message": "Hi?", "parent_id": "' OR true --"}, "parent_id: "),
    ({"message": "Hi?", "parent_id": 5}, "parent_id: "),
    ({"message": "Hi?", "edits": ["a"]}, "edits: "),
    ({"message": "Hi?", "edits": ""}, "edits: "),
    ({"message": "Hi?", "model": "gpt-99"}, "model: must be one of"),
    ({"message": "Hi?", "selected_text": "one\0two"}, "selected_text: must not contain a NUL"),
    ({"message": "Hi?", "selected_text": "\ud83d"}, "selected_text: "),
    ({"message": "Hi?", "selected_text": "x" * 50_001}, "selected_text: "),
    ({"message": "Hi?", "filters": {"path_prefixes": ["a\0b"]}}, "filters.path_prefixes"),
]
TEXTS = [
    "'; DROP TABLE chat; --",
    "%s %(id)s :message {0} \\x00",
    "' OR account_id IS NOT NULL --",
    'event: done\ndata: {"id": "forged"}\n\nid: 7\n\n',
    "👩‍👩‍👧 Ünï \u202e right to left",
    "x" * 8_000,
]
Path = Callable[[str], str]


async def send(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> httpx2.Response:
    # In ASCII, since half a character can be sent in no other way.
    return await client.post(path, content=json.dumps(body), headers=JSON)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_what_is_no_question_is_refused_and_leaves_nothing(
    api: httpx2.AsyncClient, database_url: str, stream: bool
) -> None:
    path = f"/v1/chats/{await begin_chat(api)}/messages"
    for body, words in WRONG:
        response = await send(api, path, {"stream": stream} | body)

        assert response.status_code == 422, (body, response.text)
        assert words in response.json()["detail"], (body, response.text)
    assert fetch(database_url, "SELECT * FROM message") == []
    assert fetch(database_url, "SELECT * FROM generation") == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"Hi?"', b"null", b'{"message": "Hi?"', b"\xff\xfe{"]
)
async def test_what_is_no_object_is_refused(api: httpx2.AsyncClient, body: bytes) -> None:
    chat_id = await begin_chat(api)
    for route in ("messages", "regenerate"):
        response = await api.post(f"/v1/chats/{chat_id}/{route}", content=body, headers=JSON)

        assert response.status_code in (400, 422)
        assert response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message_id": "' OR true --"}, "message_id: "),
        ({"message_id": 5}, "message_id: "),
        ({"message_id": str(uuid4())}, "message_id: there is no such message in this chat"),
        ({"message": "Hi?"}, "message: "),
        ({"stream": []}, "stream: "),
        ({"model": "gpt-99"}, "model: must be one of"),
    ],
)
async def test_what_cannot_be_answered_again_is_refused(
    upstream_api: httpx2.AsyncClient, database_url: str, body: dict[str, Any], words: str
) -> None:
    chat_id = await begin_chat(upstream_api)
    await say(upstream_api, chat_id, "Hi?", retrieval=False)

    for stream in (False, True):
        response = await send(
            upstream_api, f"/v1/chats/{chat_id}/regenerate", {"stream": stream} | body
        )
        assert response.status_code == 422, response.text
        assert words in response.json()["detail"]
    assert fetch(database_url, "SELECT count(*) FROM message") == [(2,)]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_every_other_text_is_asked_answered_and_kept_as_it_is(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, text: str
) -> None:
    chat_id = await begin_chat(upstream_api)
    upstream.behave = upstream.answers(text)
    body: dict[str, Any] = {"message": text, "retrieval": False}

    plain = await say(upstream_api, chat_id, text, retrieval=False)
    streamed = parse_events(
        (
            await upstream_api.post(f"/v1/chats/{chat_id}/messages", json=body | {"stream": True})
        ).text
    )

    assert plain["message"] == text
    assert "".join(one.data["content"] for one in streamed if one.name == "message") == text
    assert [event.name for event in streamed if event.name != "message"] == ["started", "done"]
    again = await upstream_api.get(f"/v1/messages/{streamed[0].data['id']}/stream")
    assert parse_events(again.text) == streamed
    listed = (await upstream_api.get(f"/v1/chats/{chat_id}/messages")).json()
    assert [one["message"] for one in listed] == [text] * 4


@pytest.mark.parametrize("wrong", ["1", "null", "' OR true --", "%00", "%ED%A0%BD", "x" * 200])
async def test_what_is_no_id_is_refused(api: httpx2.AsyncClient, wrong: str) -> None:
    for method, path, body in (
        ("POST", f"/v1/chats/{wrong}/messages", {"message": "Hi?"}),
        ("POST", f"/v1/chats/{wrong}/regenerate", {}),
        ("GET", f"/v1/messages/{wrong}/stream", None),
        ("POST", f"/v1/messages/{wrong}/cancel", None),
        ("POST", "/v1/qa-create", {"message": "Hi?", "chat_id": wrong}),
    ):
        response = await api.request(method, path, json=body)

        assert response.status_code == 422, path
        assert response.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    "last",
    ["-1", "x", "1.5", "0x1", "1e3", "' OR true --", "2147483647", "9" * 30, "9" * 5_000, "1, 2"],
)
async def test_what_is_no_number_of_an_event_is_refused(
    upstream_api: httpx2.AsyncClient, last: str
) -> None:
    answer = await say(upstream_api, await begin_chat(upstream_api), "Hi?", retrieval=False)

    response = await upstream_api.get(
        f"/v1/messages/{answer['id']}/stream", headers={"Last-Event-ID": last}
    )

    assert response.status_code == 422
    assert "last-event-id" in response.json()["detail"].lower()


async def test_behind_the_last_event_there_is_nothing(upstream_api: httpx2.AsyncClient) -> None:
    answer = await say(upstream_api, await begin_chat(upstream_api), "Hi?", retrieval=False)

    for last in ("100", "2147483646"):
        response = await upstream_api.get(
            f"/v1/messages/{answer['id']}/stream", headers={"Last-Event-ID": last}
        )
        assert (response.status_code, response.text) == (200, "")


async def test_questions_and_chats_have_no_stream(upstream_api: httpx2.AsyncClient) -> None:
    chat_id = await begin_chat(upstream_api)
    answer = await say(upstream_api, chat_id, "Hi?", retrieval=False)

    for other in (answer["question_id"], chat_id):
        for method, route in (("GET", "stream"), ("POST", "cancel")):
            response = await upstream_api.request(method, f"/v1/messages/{other}/{route}")
            assert response.status_code == 404
