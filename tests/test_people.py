"""Two people, two server processes, one PostgreSQL: from the first mail to conversations at once.

The language model repeats what it was told: whatever of one person came into a prompt of the other
would stand in an answer.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from settings import ROOT, Settings
from tests.accounts.mailbox import Mailbox, open_mailbox, token_in
from tests.accounts.people import bearer
from tests.chat.chats.asking import begin_chat, open_stream
from tests.processes import environment, running
from tests.support import Event, eventually, fetch, parse_events
from tests.upstream import MODEL, Upstream, chunk, completion, sse, usage

CAFE = "The harbour café opens at seven and sells lemon cake."
MUSEUM = "The harbour museum is closed on Mondays."
SHARED = (CAFE, MUSEUM)
BOAT = "When does the boat leave?"
FOLLOW_UP = "And how long does it take?"
SELECTION = "We are open from 9 to 17."


@dataclass
class Person:
    """Somebody with a secret, and all that the servers have ever said to this person."""

    email: str
    # What only this person's private document says.
    secret: str
    servers: list[httpx2.AsyncClient]
    token: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return f"The boat to {self.secret} leaves at nine and takes two hours."

    async def send(self, server: int, method: str, path: str, body: Any = None) -> httpx2.Response:
        """Send a request to one of the processes."""
        response = await self.servers[server].request(method, path, json=body)
        self.heard.append(response.text)
        return response

    async def post(self, server: int, path: str, body: dict[str, Any]) -> Any:
        """Send what must succeed."""
        response = await self.send(server, "POST", path, body)
        assert response.is_success, response.text
        return response.json()

    async def log_in(self, mailbox: Mailbox, route: str, server: int) -> None:
        """Ask one process for a link, and open it in the other."""
        await self.post(server, f"/v1/{route}", {"email": self.email})
        recipients, mail = await mailbox.receive()
        assert recipients == [self.email]
        link = {"token": token_in(mail.get_content())}
        session = await self.post(1 - server, "/v1/login/verify", link)
        assert session["account"]["email"] == self.email
        for client in self.servers:
            # A program, which keeps no cookies.
            client.cookies.clear()
            client.headers.update(bearer(session["token"]))

    async def log_out(self, server: int) -> None:
        assert (await self.send(server, "POST", "/v1/logout")).is_success
        assert (await self.send(1 - server, "GET", "/v1/me")).status_code == 401
        for client in self.servers:
            del client.headers["Authorization"]

    async def upload(self, server: int, title: str, text: str, visibility: str) -> str:
        """Upload a document and wait until it is stored; return its id."""
        body = {"title": title, "text": text, "visibility": visibility}
        accepted = await self.post(server, "/v1/documents", body)
        run = f"/v1/ingestions/{accepted['ingestion']['id']}"

        async def has_ended() -> bool:
            # As the process tells that did not take it in.
            return (await self.send(1 - server, "GET", run)).json()["finished_at"] is not None

        await eventually(has_ended, within=60)
        document_id: str = accepted["documents"][0]["id"]
        return document_id

    async def finds_all(self, server: int) -> bool:
        """Whether a process's index has everything that this person may read."""
        found = await self.post(server, "/v1/search", {"query": "harbour boat", "top_k": 20})
        texts = "".join(hit["text"] for hit in found["hits"])
        return all(text in texts for text in (self.text, *SHARED))

    async def stream(self, server: int, path: str, message: str) -> list[Event]:
        """Ask for a stream and read it to its end."""
        body = {"message": message, "stream": True}
        response = await self.send(server, "POST", path, body)
        assert response.status_code == 200, response.text
        return parse_events(response.text)

    async def stream_with_a_break(self, server: int, path: str, message: str) -> list[Event]:
        """The same, but the connection breaks, and the rest is read in the other process."""
        read: list[Event] = []
        body = {"message": message, "stream": True}
        async with open_stream(self.servers[server], path, json=body) as events:
            while not read or read[-1].name != "message":
                read.append(await anext(events))
        rest = f"/v1/messages/{read[0].data['id']}/stream"
        async with open_stream(self.servers[1 - server], rest, after=len(read)) as events:
            read += [event async for event in events]
        self.heard += [json.dumps(event.data, ensure_ascii=False) for event in read]
        assert [event.id for event in read] == [str(n + 1) for n in range(len(read))]
        return read


def parrot(upstream: Upstream) -> None:
    """Let the language model repeat its prompt, to two people at a time."""
    both = asyncio.Barrier(2)

    async def behave(body: dict[str, Any]) -> Response:
        said = [one["content"] for one in body["messages"] if one["role"] != "system"]
        if not body.get("stream"):
            rewritten = said[-1].startswith("{") and json.loads(said[-1])["question"]
            text = f"{rewritten} The boat!" if rewritten else "\n".join(said)
            return JSONResponse(completion(text))
        text = "\n".join(said)

        async def answer() -> AsyncIterator[str]:
            # Neither is answered before the other one has asked, nor to the end before the other
            # one's answer has begun.
            for half in (text[: len(text) // 2], text[len(text) // 2 :]):
                await both.wait()
                yield sse(chunk(half))
            yield sse(chunk(None, finish_reason="stop")) + sse(usage()) + "data: [DONE]\n\n"

        return StreamingResponse(answer(), media_type="text/event-stream")

    upstream.behave = behave


@contextmanager
def worker(var_dir: Path, **variables: str) -> Iterator[None]:
    """Run a worker process until the block ends."""
    command = [sys.executable, "-m", "app.worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(var_dir, **variables))
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with open_mailbox() as mailbox:
        yield mailbox


@pytest.fixture
async def people(
    settings: Settings, database_url: str, upstream: Upstream, mailbox: Mailbox
) -> AsyncIterator[tuple[Person, Person]]:
    """Ann and Bob, whom no process knows yet; two of them serve."""
    variables: dict[str, Any] = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "as long and as random as one should be",
        "DATABASE_URL": database_url,
        "AUTH": "required",
        "SMTP_URL": mailbox.url,
        "PUBLIC_URL": "https://brag.example",
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_MODELS": MODEL,
        # Both have one address, and ask every moment whether something has happened.
        "REQUESTS_PER_MINUTE": "100000",
    }
    parrot(upstream)
    async with AsyncExitStack() as stack:
        stack.enter_context(worker(settings.var_dir, **variables))
        servers = [
            (
                await stack.enter_async_context(
                    running(settings.var_dir, "app", "serve", **variables)
                )
            )[0]
            for _ in range(2)
        ]

        async def clients() -> list[httpx2.AsyncClient]:
            return [
                await stack.enter_async_context(
                    httpx2.AsyncClient(base_url=one.base_url, timeout=30, trust_env=False)
                )
                for one in servers
            ]

        yield (
            Person("ann@example.org", "Zanzibar", await clients()),
            Person("bob@example.org", "Madagascar", await clients()),
        )


async def get_started(person: Person, mailbox: Mailbox, server: int, shared: str) -> None:
    """Register, log out, log in, and upload a private and a shared document."""
    await person.log_in(mailbox, "register", server)
    await person.log_out(server)
    await person.log_in(mailbox, "login", 1 - server)
    person.ids["document"] = await person.upload(server, "The boat", person.text, "private")
    await person.upload(1 - server, "The harbour", shared, "shared")


async def talk(person: Person, server: int) -> None:
    """Hold a conversation, each message of it with the other process than the one before."""
    chat = f"/v1/chats/{await begin_chat(person.servers[server])}"
    person.ids["chat"] = chat.removeprefix("/v1/chats/")
    path = f"{chat}/messages"

    streamed = await person.stream(server, path, BOAT)
    plain = await person.post(1 - server, path, {"message": "When does the harbour café open?"})
    broken = await person.stream_with_a_break(server, path, FOLLOW_UP)
    again = await person.post(1 - server, f"{chat}/regenerate", {})

    assert person.text in said(streamed)
    assert CAFE in plain["message"]
    assert plain["history"]["given"] == 2
    assert person.text in said(broken)
    assert broken[-1].data["status"] == "complete"
    assert person.text in again["message"]
    person.ids |= {"question": again["question_id"], "message": again["id"]}
    trace = (await person.send(server, "GET", f"/v1/messages/{again['id']}/trace")).json()
    assert trace["query"] == f"{FOLLOW_UP} The boat!"
    branch = (await person.send(server, "GET", path)).json()
    assert [one["message"] for one in branch if one["role"] == "user"] == [
        FOLLOW_UP,
        "When does the harbour café open?",
        BOAT,
    ]


async def talk_as_earlier_clients_do(person: Person, server: int) -> None:
    """Send what clients of earlier backends send; both people call their session the same."""
    first = {"message": BOAT, "session_id": "tab-1"}
    began = await person.post(server, "/api/v1/chat", first)
    second = {"message": "And when does the café open?", "session_id": "tab-1"}
    went_on = await person.post(1 - server, "/api/v1/chat_conversation", second)
    answered = await person.post(server, "/api/v1/answer", {"question": BOAT})
    selected = {"query": "When are you open?", "document_content": SELECTION}
    of_selection = await person.post(1 - server, "/api/v1/chat_with_selection", selected)

    assert person.text in began["response"]
    assert (began["query"], began["model_used"], began["session_id"]) == (BOAT, MODEL, "tab-1")
    assert CAFE in went_on["response"]
    assert BOAT in went_on["response"], "it was told what was said before"
    assert went_on["chat_id"] == began["chat_id"]
    assert person.text in answered["answer"]
    assert answered["sources"]
    assert SELECTION in of_selection["response"]
    assert person.secret not in of_selection["response"]


def said(events: list[Event]) -> str:
    return "".join(event.data["content"] for event in events if event.name == "message")


async def look_around(person: Person, server: int) -> str:
    """Return all that a process lists, finds and shows to a person."""
    chat, message = person.ids["chat"], person.ids["message"]
    shown = [
        await person.send(server, "GET", path)
        for path in (
            "/v1/me",
            "/v1/documents",
            "/v1/sources",
            "/v1/ingestions",
            "/v1/messages?limit=200",
            "/v1/chats",
            "/v1/chats?search=boat",
            f"/v1/chats/{chat}",
            f"/v1/chats/{chat}/messages",
            f"/v1/messages/{message}",
            f"/v1/messages/{message}/trace",
            f"/v1/messages/{message}/stream",
            f"/v1/documents/{person.ids['document']}",
        )
    ]
    shown += [
        await person.send(server, "POST", "/v1/search", {"query": BOAT, "top_k": 100, "mode": mode})
        for mode in ("hybrid", "dense", "bm25")
    ]
    assert {response.status_code for response in shown} == {200}
    return "\n".join(response.text for response in shown)


async def reach_for(person: Person, other: Person, server: int) -> dict[str, int]:
    """Try to get at what is the other one's by its ids; return what that was answered with."""
    asking = {"message": BOAT}
    tried = {
        "GET /v1/documents/{document}": None,
        "DELETE /v1/documents/{document}": None,
        "GET /v1/chats/{chat}": None,
        "PATCH /v1/chats/{chat}": {"title": "Mine"},
        "DELETE /v1/chats/{chat}": None,
        "GET /v1/chats/{chat}/messages": None,
        "POST /v1/chats/{chat}/messages": asking,
        "POST /v1/chats/{chat}/messages?": asking | {"stream": True},
        "POST /v1/chats/{chat}/regenerate": {},
        "POST /v1/qa-create": asking | {"chat_id": other.ids["chat"]},
        "POST /v1/qa-stream": asking | {"chat_id": other.ids["chat"]},
        "GET /v1/messages/{message}": None,
        "GET /v1/messages/{message}/trace": None,
        "GET /v1/messages/{message}/stream": None,
        "POST /v1/messages/{message}/cancel": None,
        "POST /v1/messages/{message}/replay": None,
    }
    return {
        operation: (
            await person.send(server, operation.split()[0], path.format(**other.ids), body)
        ).status_code
        for operation, body in tried.items()
        for path in [operation.split()[1]]
    }


async def test_two_people_share_two_processes_and_none_of_their_secrets(
    people: tuple[Person, Person],
    mailbox: Mailbox,
    upstream: Upstream,
    settings: Settings,
    database_url: str,
) -> None:
    ann, bob = people
    await get_started(ann, mailbox, 0, CAFE)
    await get_started(bob, mailbox, 1, MUSEUM)
    for person in people:
        for server in (0, 1):
            await eventually(lambda p=person, s=server: p.finds_all(s), within=30)  # type: ignore[misc]
    assert len([path for path in (settings.var_dir / "qdrant").iterdir() if path.is_dir()]) == 2

    await asyncio.gather(talk(ann, 0), talk(bob, 1))
    await asyncio.gather(talk_as_earlier_clients_do(ann, 0), talk_as_earlier_clients_do(bob, 0))

    for person, other in ((ann, bob), (bob, ann)):
        for server in (0, 1):
            shown = await look_around(person, server)
            assert person.text in shown
            assert all(text in shown for text in SHARED)
            assert set((await reach_for(person, other, server)).values()) == {404}
        heard = "\n".join(person.heard)
        assert other.secret not in heard
        assert other.email not in heard
    prompts = [json.dumps(request, ensure_ascii=False) for request in upstream.requests]
    assert not [prompt for prompt in prompts if ann.secret in prompt and bob.secret in prompt]
    assert fetch(
        database_url,
        "SELECT account.email, count(DISTINCT chat.id), count(*) FROM account"
        " JOIN chat ON chat.account_id = account.id JOIN message ON message.chat_id = chat.id"
        " WHERE message.account_id = account.id GROUP BY email ORDER BY email",
    ) == [("ann@example.org", 2, 11), ("bob@example.org", 2, 11)]
    assert fetch(database_url, "SELECT FROM generation WHERE ended_at IS NULL") == []
