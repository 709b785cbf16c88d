"""POST /v1/chats/{id}/messages and /regenerate: questions that follow each other."""

import asyncio
from typing import Any

import httpx2
import pytest

from settings import Settings
from tests.chat.asking import until_found
from tests.chat.chats.asking import begin_chat, next_event, open_stream, say, stream
from tests.conftest import Ingest
from tests.support import eventually, execute, open_client
from tests.upstream import Upstream

LAKES = {"lakes.md": "# Lakes\n\nLake Baikal is 1642 metres deep and cold.\n"}


async def branch(client: httpx2.AsyncClient, chat_id: str) -> list[str]:
    """Return what is said in the branch that is shown, oldest first."""
    response = await client.get(f"/v1/chats/{chat_id}/messages")
    assert response.status_code == 200, response.text
    return [message["message"] for message in reversed(response.json())]


def spoken(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a language model was told, without the instructions."""
    return [(m["role"], m["content"]) for m in request["messages"] if m["role"] != "system"]


async def test_a_question_is_answered_from_the_documents(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest(LAKES)
    await until_found(api, "lakes.md")
    chat_id = await begin_chat(api)

    answer = await say(api, chat_id, "How deep is Lake Baikal?")

    assert answer["message"] == "Lake Baikal is 1642 metres deep and cold. [1]"
    assert [source["path"] for source in answer["sources"]] == ["lakes.md"]
    assert answer["citations"][0]["verified"] is True
    assert (answer["chat_id"], answer["status"]) == (chat_id, "complete")
    assert answer["history"] == {"given": 0, "summarised": 0, "left_out": 0}
    assert await branch(api, chat_id) == ["How deep is Lake Baikal?", answer["message"]]


async def test_the_language_model_is_told_what_was_said_before(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    upstream.behave = upstream.answers("Good morning, Ann.")
    await say(upstream_api, chat_id, "I am Ann.", retrieval=False)

    upstream.behave = upstream.answers("You are Ann.")
    answer = await say(upstream_api, chat_id, "Who am I?", retrieval=False)

    assert spoken(upstream.requests[-1]) == [
        ("user", "I am Ann."),
        ("assistant", "Good morning, Ann."),
        ("user", "Who am I?"),
    ]
    assert answer["message"] == "You are Ann."
    assert answer["sources"] == answer["citations"] == []
    assert answer["history"]["given"] == 2


async def test_chats_know_nothing_of_each_other(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    await say(upstream_api, await begin_chat(upstream_api), "I am Ann.", retrieval=False)

    await say(upstream_api, await begin_chat(upstream_api), "Who am I?", retrieval=False)

    assert spoken(upstream.requests[-1]) == [("user", "Who am I?")]


async def test_a_selected_text_is_answered_from_alone(api: httpx2.AsyncClient) -> None:
    chat_id = await begin_chat(api)

    answer = await say(api, chat_id, "When is it open?", selected_text="It is open from 9 to 17.")

    assert answer["message"] == "It is open from 9 to 17. [1]"


async def test_a_stream_says_first_which_answer_it_is(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest(LAKES)
    await until_found(api, "lakes.md")
    chat_id = await begin_chat(api)

    started, sources, *messages, citations, done = await stream(
        api, chat_id, "How deep is Lake Baikal?"
    )

    stored = (await api.get(f"/v1/chats/{chat_id}/messages")).json()
    assert started.name == "started"
    assert started.data == {
        "id": stored[0]["id"],
        "question_id": stored[1]["id"],
        "chat_id": chat_id,
    }
    assert (sources.name, citations.name, done.name) == ("sources", "citations", "done")
    assert {event.name for event in messages} == {"message"}
    assert "".join(event.data["content"] for event in messages) == stored[0]["message"]
    assert (done.data["id"], done.data["status"]) == (started.data["id"], "complete")


async def test_every_event_has_the_number_that_follows(api: httpx2.AsyncClient) -> None:
    events = await stream(api, await begin_chat(api), "Anything?")

    assert [event.id for event in events] == [str(n + 1) for n in range(len(events))]


async def test_nothing_found_is_said_in_a_chat_too(api: httpx2.AsyncClient) -> None:
    events = await stream(api, await begin_chat(api), "Anything?")

    names = ["started", "sources", "message", "citations", "done"]
    assert [event.name for event in events] == names
    assert events[2].data["content"].startswith("No documents found in context.")


async def test_the_first_question_is_the_title(api: httpx2.AsyncClient) -> None:
    chat_id = await begin_chat(api)

    await say(api, chat_id, "How deep is Lake Baikal? I wonder.")
    await say(api, chat_id, "And how cold?")

    assert (await api.get(f"/v1/chats/{chat_id}")).json()["title"] == "How deep is Lake Baikal?"


async def test_an_answer_can_be_given_again_and_both_are_kept(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    upstream.behave = upstream.answers("One")
    first = await say(upstream_api, chat_id, "Say a number.", retrieval=False)

    upstream.behave = upstream.answers("Two")
    response = await upstream_api.post(f"/v1/chats/{chat_id}/regenerate", json={})

    second = response.json()
    assert response.status_code == 200, response.text
    assert spoken(upstream.requests[-1]) == [("user", "Say a number.")]
    assert second["question_id"] == first["question_id"]
    assert await branch(upstream_api, chat_id) == ["Say a number.", "Two"]
    newest = (await upstream_api.get(f"/v1/chats/{chat_id}/messages")).json()[0]
    assert newest["alternatives"] == [first["id"], second["id"]]
    kept = (await upstream_api.get(f"/v1/messages/{first['id']}")).json()
    assert kept["message"] == "One"


async def test_an_answer_is_given_again_from_where_it_was_given_before(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest(LAKES | {"a/seas.md": "# Seas\n\nThe Dead Sea is salty and warm.\n"})
    await until_found(api, "lakes.md", "a/seas.md")
    chat_id = await begin_chat(api)
    filters = {"path_prefixes": ["a"]}
    await say(api, chat_id, "Is the Dead Sea salty and warm?", filters=filters, mode="bm25")

    again = (await api.post(f"/v1/chats/{chat_id}/regenerate", json={})).json()
    trace = (await api.get(f"/v1/messages/{again['id']}/trace")).json()

    assert {source["path"] for source in again["sources"]} == {"a/seas.md"}
    assert trace["settings"]["mode"] == "bm25"
    assert trace["settings"]["filters"]["path_prefixes"] == ["a"]


async def test_a_selected_text_must_be_sent_again(api: httpx2.AsyncClient) -> None:
    chat_id = await begin_chat(api)
    text = "It is open from 9 to 17."
    await say(api, chat_id, "When is it open?", selected_text=text)
    path = f"/v1/chats/{chat_id}/regenerate"

    refused = await api.post(path, json={})
    again = await api.post(path, json={"selected_text": text})

    assert refused.status_code == 422
    assert "selected_text" in refused.json()["detail"]
    assert again.json()["message"] == f"{text} [1]"


async def test_an_earlier_answer_can_be_given_again(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    first = await say(upstream_api, chat_id, "One?", retrieval=False)
    await say(upstream_api, chat_id, "Two?", retrieval=False)

    upstream.behave = upstream.answers("Another")
    await upstream_api.post(
        f"/v1/chats/{chat_id}/regenerate",
        json={"retrieval": False, "message_id": first["id"]},
    )

    assert await branch(upstream_api, chat_id) == ["One?", "Another"]


async def test_a_chat_without_a_question_has_nothing_to_answer_again(
    api: httpx2.AsyncClient,
) -> None:
    response = await api.post(f"/v1/chats/{await begin_chat(api)}/regenerate", json={})

    assert response.status_code == 422
    assert "Nothing has been asked" in response.json()["detail"]


async def test_a_question_can_be_replaced_and_both_branches_are_kept(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    await say(upstream_api, chat_id, "One?", retrieval=False)
    second = await say(upstream_api, chat_id, "Two?", retrieval=False)

    await say(upstream_api, chat_id, "Deux?", retrieval=False, edits=second["question_id"])

    assert [text for role, text in spoken(upstream.requests[-1]) if role == "user"] == [
        "One?",
        "Deux?",
    ]
    said = await branch(upstream_api, chat_id)
    assert said[0::2] == ["One?", "Deux?"]
    other = await upstream_api.get(
        f"/v1/chats/{chat_id}/messages", params={"leaf_id": second["id"]}
    )
    assert [one["message"] for one in other.json() if one["role"] == "user"] == ["Two?", "One?"]


async def test_the_first_question_can_be_replaced(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    first = await say(upstream_api, chat_id, "One?", retrieval=False)

    await say(upstream_api, chat_id, "Un?", retrieval=False, edits=first["question_id"])

    assert spoken(upstream.requests[-1]) == [("user", "Un?")]


async def test_a_question_can_follow_any_message(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    first = await say(upstream_api, chat_id, "One?", retrieval=False)
    await say(upstream_api, chat_id, "Two?", retrieval=False)

    await say(upstream_api, chat_id, "Zwei?", retrieval=False, parent_id=first["id"])

    said = await branch(upstream_api, chat_id)
    assert said[0::2] == ["One?", "Zwei?"]


@pytest.mark.parametrize("field", ["parent_id", "edits"])
async def test_a_message_of_another_chat_is_no_place_in_this_one(
    upstream_api: httpx2.AsyncClient, field: str
) -> None:
    elsewhere = await say(upstream_api, await begin_chat(upstream_api), "Hi?", retrieval=False)

    response = await upstream_api.post(
        f"/v1/chats/{await begin_chat(upstream_api)}/messages",
        json={"message": "Hi?", field: elsewhere["question_id"]},
    )

    assert response.status_code == 422
    assert response.json()["detail"] == f"{field}: there is no such message in this chat"


async def test_an_answer_cannot_be_replaced(upstream_api: httpx2.AsyncClient) -> None:
    chat_id = await begin_chat(upstream_api)
    answer = await say(upstream_api, chat_id, "Hi?", retrieval=False)

    response = await upstream_api.post(
        f"/v1/chats/{chat_id}/messages", json={"message": "Ho?", "edits": answer["id"]}
    )

    assert response.status_code == 422
    assert "only a question" in response.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"parent_id": "0" * 32, "edits": "0" * 32}, "leave one out"),
        ({"retrieval": False, "mode": "dense"}, "retrieval is off"),
        ({"retrieval": False, "selected_text": "x"}, "retrieval is off"),
        ({"chat_id": "0" * 32}, "chat_id"),
        ({"steam": True}, "steam"),
    ],
)
async def test_what_does_not_go_together_is_refused(
    api: httpx2.AsyncClient, fields: dict[str, Any], problem: str
) -> None:
    response = await api.post(
        f"/v1/chats/{await begin_chat(api)}/messages", json={"message": "Hi?", **fields}
    )

    assert response.status_code == 422
    assert problem in response.json()["detail"]


async def test_a_chat_that_does_not_exist_cannot_be_asked(api: httpx2.AsyncClient) -> None:
    nowhere = "0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11"
    for path, body in [
        (f"/v1/chats/{nowhere}/messages", {"message": "Hi?"}),
        (f"/v1/chats/{nowhere}/messages", {"message": "Hi?", "stream": True}),
        (f"/v1/chats/{nowhere}/regenerate", {}),
        ("/v1/qa-create", {"message": "Hi?", "chat_id": nowhere}),
        ("/v1/qa-stream", {"message": "Hi?", "chat_id": nowhere}),
    ]:
        response = await api.post(path, json=body)

        assert response.status_code == 404, path
        assert response.json()["detail"] == "There is no such chat."


async def test_questions_of_the_plain_routes_can_belong_to_a_chat(
    upstream_api: httpx2.AsyncClient,
) -> None:
    chat_id = await begin_chat(upstream_api)

    response = await upstream_api.post(
        "/v1/qa-create", json={"message": "One?", "chat_id": chat_id}
    )
    streamed = await upstream_api.post(
        "/v1/qa-stream", json={"message": "Two?", "chat_id": chat_id}
    )

    assert response.json()["chat_id"] == chat_id
    assert streamed.text.startswith("event: started")
    said = await branch(upstream_api, chat_id)
    assert said[0::2] == ["One?", "Two?"]


async def test_while_one_question_is_answered_another_is_refused(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    path = f"/v1/chats/{chat_id}/messages"
    body = {"message": "One?", "retrieval": False, "stream": True}

    async with open_stream(upstream_api, path, json=body) as events:
        started = await next_event(events, "started")
        for refused, fields in [
            (path, {"message": "Two?"}),
            (f"/v1/chats/{chat_id}/regenerate", {}),
        ]:
            response = await upstream_api.post(refused, json=fields)
            assert response.status_code == 409
            assert response.json()["error"]["code"] == "chat_busy"
            assert response.json()["error"]["details"] == {"message_id": started.data["id"]}
        pieces.put_nowait("Yes")
        pieces.put_nowait(None)
        await next_event(events, "done")

    upstream.behave = upstream.answers("Well")
    assert (await say(upstream_api, chat_id, "Two?", retrieval=False))["message"] == "Well"


async def test_of_two_at_once_one_is_answered(
    upstream_settings: Settings, upstream: Upstream, embedder: object
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    async with open_client(upstream_settings) as one, open_client(upstream_settings) as other:
        chat_id = await begin_chat(one)
        asking = [
            asyncio.create_task(
                client.post(
                    f"/v1/chats/{chat_id}/messages", json={"message": "Hi?", "retrieval": False}
                )
            )
            for client in (one, other, one, other, one, other)
        ]

        async def all_but_one_refused() -> bool:
            return sum(task.done() for task in asking) == len(asking) - 1

        await eventually(all_but_one_refused)
        pieces.put_nowait("Yes")
        pieces.put_nowait(None)
        statuses = sorted([(await task).status_code for task in asking])

    assert statuses == [200, 409, 409, 409, 409, 409]


async def test_when_the_language_model_fails_the_chat_goes_on(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    upstream.behave = upstream.refuses(500)
    response = await upstream_api.post(
        f"/v1/chats/{chat_id}/messages", json={"message": "One?", "retrieval": False}
    )
    assert response.status_code == 502

    upstream.behave = upstream.answers("Well")
    await say(upstream_api, chat_id, "Two?", retrieval=False)

    assert await branch(upstream_api, chat_id) == ["One?", "Two?", "Well"]


async def test_an_answer_that_breaks_off_is_kept_as_far_as_it_came(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    chat_id = await begin_chat(upstream_api)
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    pieces.put_nowait("Half an")
    upstream.behave = upstream.types(pieces)
    path = f"/v1/chats/{chat_id}/messages"
    body = {"message": "One?", "retrieval": False, "stream": True}
    async with open_stream(upstream_api, path, json=body) as events:
        await next_event(events, "message")
        upstream.behave = upstream.refuses(500)
        assert (await upstream_api.delete(f"/v1/chats/{chat_id}")).status_code == 204

        error = await next_event(events, "error")

    assert error.data["code"] == "answer_unwanted"
    async with asyncio.timeout(5):
        await upstream.stream_ended.wait()


async def test_an_answer_that_cannot_be_stored_does_not_lock_the_chat(
    upstream_api: httpx2.AsyncClient, database_url: str
) -> None:
    chat_id = await begin_chat(upstream_api)
    execute(database_url, "ALTER TABLE message ADD CONSTRAINT no_answer CHECK (role = 'user')")

    failed = await upstream_api.post(
        f"/v1/chats/{chat_id}/messages", json={"message": "One?", "retrieval": False}
    )
    execute(database_url, "ALTER TABLE message DROP CONSTRAINT no_answer")

    assert failed.status_code == 503
    assert failed.json()["detail"] == "Post processing failed"

    async def answered() -> bool:
        body = {"message": "Two?", "retrieval": False}
        response = await upstream_api.post(f"/v1/chats/{chat_id}/messages", json=body)
        return response.status_code == 200

    await eventually(answered)


async def test_an_account_has_so_many_answers_in_the_making(
    upstream_settings: Settings, upstream: Upstream, embedder: object
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    limited = upstream_settings.model_copy(update={"concurrent_generations": 2})
    async with open_client(limited) as client, open_client(limited) as other:
        asking = [
            asyncio.create_task(one.post("/v1/completion-stream", json={"message": "Hi?"}))
            for one in (client, other, client, other, client)
        ]

        async def the_rest_refused() -> bool:
            return sum(task.done() for task in asking) == 3

        await eventually(the_rest_refused)
        refused = [task.result() for task in asking if task.done()]
        for _ in range(2):
            pieces.put_nowait("Yes")
            pieces.put_nowait(None)
        await asyncio.gather(*asking)
        again = await client.post("/v1/qa-create", json={"message": "Hi?"})

    assert [response.status_code for response in refused] == [429] * 3
    assert refused[0].json()["error"]["code"] == "too_many_generations"
    assert refused[0].headers["retry-after"] == "5"
    assert again.status_code == 200


async def test_a_reader_who_leaves_makes_room_for_another_answer(
    upstream_settings: Settings, upstream: Upstream, embedder: object
) -> None:
    upstream.behave = upstream.types(asyncio.Queue())
    limited = upstream_settings.model_copy(update={"concurrent_generations": 1})
    async with open_client(limited) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/v1/completion-stream", json={"message": "Hi?"}, timeout=0.5)

        upstream.behave = upstream.answers("Well")

        async def answered() -> bool:
            response = await client.post("/v1/completion", json={"message": "Hi?"})
            return response.status_code == 200

        await eventually(answered, within=3)
