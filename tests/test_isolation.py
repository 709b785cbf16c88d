"""Two accounts on one server: whatever route one takes, nothing of the other's comes out of it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio import to_thread

from app.accounts.sessions import Session
from app.core.database import Database
from app.knowledge.embedding import Embedder
from app.main import create_app
from settings import Settings
from tests.accounts.people import auth_required, bearer, join, log_in, new_token
from tests.chat.chats.conversations import Conversations, open_conversations
from tests.runs import Runs, open_runs
from tests.serving import serve
from tests.support import eventually, fetch

# What only Ann's document, questions and account say.
SECRET = "Zanzibar"
QUESTION = {"message": f"When does the boat to {SECRET} leave?", "resumable": True}

# What is sent along; every operation of the API must be here, so that a new one is thought of.
BODIES: dict[str, Any] = {
    "GET /healthcheck": None,
    "GET /health": None,
    "GET /readiness": None,
    "GET /metrics": None,
    "POST /v1/register": {"email": "ann@example.org"},
    "POST /v1/login": {"email": "ann@example.org"},
    "POST /v1/login/verify": {"token": "guess"},
    "POST /v1/logout": None,
    "GET /v1/me": None,
    "PATCH /v1/me": {"name": "Bob"},
    "DELETE /v1/me": None,
    "GET /v1/tokens": None,
    "POST /v1/tokens": {"name": "Bob's", "scopes": ["read"]},
    "DELETE /v1/tokens/{token_id}": None,
    "POST /v1/completion": {"message": "Hello?"},
    "POST /v1/completion-stream": {"message": "Hello?"},
    "POST /v1/qa-create": {"message": "When does the boat leave?"},
    "POST /v1/qa-stream": {"message": "When does the boat leave?"},
    "GET /v1/messages": None,
    "GET /v1/messages/{message_id}": None,
    "GET /v1/messages/{message_id}/trace": None,
    "POST /v1/messages/{message_id}/replay": None,
    "GET /v1/chats": None,
    "POST /v1/chats": {"title": "Bob's"},
    "GET /v1/chats/{chat_id}": None,
    "PATCH /v1/chats/{chat_id}": {"title": "Bob's now"},
    "DELETE /v1/chats/{chat_id}": None,
    "GET /v1/chats/{chat_id}/messages": None,
    "POST /v1/chats/{chat_id}/messages": {"message": "When does the boat leave?"},
    "POST /v1/chats/{chat_id}/regenerate": {},
    "GET /v1/messages/{message_id}/stream": None,
    "POST /v1/messages/{message_id}/cancel": None,
    "GET /v1/usage": None,
    "GET /v1/sources": None,
    "POST /v1/sources": {"config": {"kind": "github", "repository": "a/b"}, "sync": False},
    "GET /v1/sources/{source_id}": None,
    "PATCH /v1/sources/{source_id}": {"name": "Bob's now"},
    "DELETE /v1/sources/{source_id}": None,
    "POST /v1/sources/{source_id}/sync": None,
    "GET /v1/documents": None,
    "POST /v1/documents": {"title": "Bob's", "text": "Bob's own words."},
    "GET /v1/documents/{document_id}": None,
    "PUT /v1/documents/{document_id}": {"title": "Bob's", "text": "Bob's own words."},
    "DELETE /v1/documents/{document_id}": None,
    "GET /v1/ingestions": None,
    "GET /v1/ingestions/{ingestion_id}": None,
    "GET /v1/ingestions/{ingestion_id}/items": None,
    "GET /v1/ingestions/{ingestion_id}/log": None,
    "GET /v1/ingestions/{ingestion_id}/events": None,
    "POST /v1/ingestions/{ingestion_id}/cancel": None,
    "POST /v1/ingestions/{ingestion_id}/retry": None,
    "POST /v1/ingestions/{ingestion_id}/replay": None,
    "POST /v1/search": {"query": "When does the boat leave?"},
    "GET /v1/models": None,
    "GET /v1/models/{model}": None,
    "POST /v1/chat/completions": {
        "model": "brag",
        "messages": [{"role": "user", "content": "When does the boat leave?"}],
    },
    "POST /v1/embeddings": {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "input": "Bob's own words.",
    },
    "GET /api/v1/health": None,
    "POST /api/v1/answer": {"question": "When does the boat leave?"},
    "POST /api/v1/chat": {"message": "When does the boat leave?", "session_id": "Ann's"},
    "POST /api/v1/chat_conversation": {"message": "And back?", "session_id": "Ann's"},
    "POST /api/v1/chat_with_selection": {"query": "When?", "document_content": "At nine."},
}
OPEN = {
    "GET /healthcheck",
    "GET /health",
    "GET /api/v1/health",
    "GET /readiness",
    "GET /metrics",
    "POST /v1/register",
    "POST /v1/login",
    "POST /v1/login/verify",
}
# What has a name in its path that is nobody's own.
COMMON = {"GET /v1/models/{model}"}
# What shows rows of the database; compared before and after everything that Bob does.
TABLES = ("source", "document", "chunk", "ingestion", "chat", "message", "access_token")


@dataclass
class TwoPeople:
    """Ann, who has one of everything, and Bob, who has nothing."""

    client: httpx2.AsyncClient
    ann: dict[str, str]
    bob: dict[str, str]
    ids: dict[str, str]
    operations: list[str]
    database_url: str

    async def send(self, operation: str, who: dict[str, str], **params: str) -> httpx2.Response:
        """Send a request, with Ann's ids wherever the path has one."""
        method, path = operation.split(" ")
        body = BODIES[operation]
        return await self.client.request(
            method, path.format(**self.ids), json=body, params=params, headers=who
        )

    def owned(self) -> dict[str, list[Any]]:
        """Return all rows that Ann's account owns."""
        return {table: fetch(self.database_url, OWNED[table]) for table in TABLES}


OWNER = "(SELECT id FROM account WHERE email = 'ann@example.org')"
OF_SOURCE = f"source_id IN (SELECT id FROM source WHERE account_id = {OWNER})"
OWNED = {
    "source": f"SELECT * FROM source WHERE account_id = {OWNER} ORDER BY id",
    "document": f"SELECT * FROM document WHERE {OF_SOURCE} ORDER BY id",
    "chunk": "SELECT chunk.* FROM chunk JOIN document ON document.id = document_id "
    f"WHERE {OF_SOURCE} ORDER BY chunk.id",
    "ingestion": f"SELECT * FROM ingestion WHERE {OF_SOURCE} ORDER BY id",
    "chat": f"SELECT * FROM chat WHERE account_id = {OWNER} ORDER BY id",
    "message": f"SELECT * FROM message WHERE account_id = {OWNER} ORDER BY id",
    "access_token": "SELECT id, name, scopes FROM access_token "
    f"WHERE account_id = {OWNER} ORDER BY id",
}


@pytest.fixture
def runs(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[Runs]:
    """A source of Ann's."""
    ann = join(database, "ann@example.org")
    with open_runs(database, embedder, settings, tmp_path / "ann", ann) as runs:
        yield runs


@pytest.fixture
def conversations(database_url: str) -> Iterator[Conversations]:
    """Begins chats."""
    with open_conversations(database_url) as conversations:
        yield conversations


@pytest.fixture
async def people(
    database: Database, settings: Settings, runs: Runs, conversations: Conversations
) -> AsyncIterator[TwoPeople]:
    """Ann has a document, an answer from it, a chat and a token."""
    run = await to_thread.run_sync(
        runs.run, {f"{SECRET}.md": f"# {SECRET}\n\nThe boat to {SECRET} leaves at seven.\n"}
    )
    # Bob sends a request to every route, and Ann asks until her document is found.
    secured = auth_required(settings, requests_per_minute=0)
    app = create_app(secured)
    ann: Session = log_in(database, secured, runs.account_id)
    bob: Session = log_in(database, secured, join(database, "bob@example.org"))
    async with (
        serve(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        token = await new_token(client, ann, "read")
        chat = conversations.begin(f"To {SECRET}", account_id=runs.account_id)
        chat.ask(str(QUESTION["message"]))

        async def answered() -> bool:
            answer = await client.post("/v1/qa-create", json=QUESTION, headers=bearer(ann.token))
            return answer.status_code == 200 and bool(answer.json()["sources"])

        await eventually(answered)
        documents = (await client.get("/v1/documents", headers=bearer(ann.token))).json()
        messages = (await client.get("/v1/messages", headers=bearer(ann.token))).json()
        yield TwoPeople(
            client,
            bearer(ann.token),
            bearer(bob.token),
            {
                "token_id": token["id"],
                "chat_id": chat.id,
                "message_id": next(m["id"] for m in messages if m["role"] == "assistant"),
                "source_id": str(runs.source_id),
                "document_id": documents[0]["id"],
                "ingestion_id": str(run["id"]),
                "model": "brag",
            },
            [
                f"{method.upper()} {path}"
                for path, methods in app.openapi()["paths"].items()
                for method in methods
            ],
            database.url,
        )


async def test_every_operation_is_thought_of_here(people: TwoPeople) -> None:
    assert sorted(people.operations) == sorted(BODIES)


async def test_without_a_token_only_what_is_open_answers(people: TwoPeople) -> None:
    statuses = {
        operation: (await people.send(operation, {})).status_code
        for operation in people.operations
        if operation not in OPEN
    }

    assert set(statuses.values()) == {401}, statuses


async def test_nobody_gets_at_what_is_anothers(people: TwoPeople) -> None:
    before = people.owned()
    assert all(before.values()), "Ann has one of everything"

    # Deleting himself comes last, or he is nobody.
    for operation in sorted(people.operations, key="DELETE /v1/me POST /v1/logout".find):
        response = await people.send(operation, people.bob)

        assert SECRET not in response.text, operation
        assert "ann@example.org" not in response.text, operation
        if "{" in operation and operation not in COMMON:
            assert response.status_code == 404, (operation, response.text)
        elif operation not in OPEN:
            assert response.status_code < 500, (operation, response.text)

    assert people.owned() == before


async def test_the_same_ids_lead_their_owner_to_them(people: TwoPeople) -> None:
    """Else the test before would hold for ids that nobody has."""
    reading = [op for op in people.operations if op.startswith("GET") and "{" in op]

    statuses = {op: (await people.send(op, people.ann)).status_code for op in reading}

    assert set(statuses.values()) == {200}, statuses
    for operation in (
        "GET /v1/documents/{document_id}",
        "GET /v1/messages",
        "GET /v1/chats",
        "GET /v1/chats/{chat_id}/messages",
        "POST /v1/qa-create",
        "POST /v1/chat/completions",
    ):
        assert SECRET in (await people.send(operation, people.ann)).text, operation


@pytest.mark.parametrize(
    ("operation", "parameter"),
    [("GET /v1/documents", "source_id"), ("GET /v1/ingestions", "source_id")],
)
async def test_a_filter_by_what_is_anothers_finds_nothing(
    people: TwoPeople, operation: str, parameter: str
) -> None:
    of_ann = {parameter: people.ids[parameter]}

    assert (await people.send(operation, people.bob, **of_ann)).json() == []
    assert len((await people.send(operation, people.ann, **of_ann)).json()) == 1
