"""Every operation of the OpenAPI, with requests that nobody thought of, as two people.

`FUZZ_CASES` and `FUZZ_SEED` say how many, and which ones; `make fuzz` sends 20,000.
"""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from anyio import to_thread

from app.core.database import Database
from app.knowledge.embedding import Embedder
from app.main import create_app
from settings import Settings
from tests.accounts.people import auth_required, bearer, join, log_in, new_token
from tests.fuzzing.fuzzer import Fuzzer, Person
from tests.runs import Runs, open_runs
from tests.serving import serve
from tests.support import eventually

CASES = int(os.environ.get("FUZZ_CASES", "600"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECRET = "Zanzibar"
# Who sends a request is decided here.
CONFIG = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})


@pytest.fixture
def runs_of_both(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[tuple[Runs, Runs]]:
    """A source of each."""
    ann, bob = (join(database, f"{name}@example.org") for name in (SECRET.lower(), "bob"))
    with (
        open_runs(database, embedder, settings, tmp_path / "ann", ann) as anns,
        open_runs(database, embedder, settings, tmp_path / "bob", bob) as bobs,
    ):
        yield anns, bobs


@pytest.fixture
async def fuzzer(
    database: Database, settings: Settings, runs_of_both: tuple[Runs, Runs]
) -> AsyncIterator[Fuzzer]:
    """Sends requests as Bob, who has one of everything, as Ann has."""
    secured = auth_required(
        settings,
        requests_per_minute=0,
        tokens_per_day=0,
        concurrent_generations=0,
        login_requests_per_hour=1_000_000,
        log_level="WARNING",
    )
    app = create_app(secured)
    anns, bobs = runs_of_both
    async with serve(app) as url:
        ann = await has_everything(url, database, secured, anns, SECRET)
        bob = await has_everything(url, database, secured, bobs, "Bergen")
        schema = schemathesis.openapi.from_dict(app.openapi(), config=CONFIG)

        def new_token() -> str:
            nobody = join(database, f"{os.urandom(6).hex()}@example.org")
            return log_in(database, secured, nobody).token

        yield Fuzzer(schema, url, bob, ann, (SECRET, SECRET.lower()), new_token, SEED)


async def has_everything(
    url: str, database: Database, settings: Settings, runs: Runs, place: str
) -> Person:
    """Somebody with a document, an answer from it, a chat and a token."""
    run = await to_thread.run_sync(
        runs.run, {f"{place}.md": f"# {place}\n\nThe boat to {place} leaves at seven.\n"}
    )
    session = log_in(database, settings, runs.account_id)
    question: dict[str, Any] = {"message": f"When does the boat to {place} leave?"}
    async with httpx2.AsyncClient(
        base_url=url, timeout=30, trust_env=False, headers=bearer(session.token)
    ) as client:

        async def answered() -> bool:
            answer = await client.post("/v1/qa-create", json=question)
            return answer.status_code == 200 and bool(answer.json()["sources"])

        await eventually(answered, within=30)
        token = await new_token(client, session, "read")
        chat = (await client.post("/v1/chats", json={"title": f"To {place}"})).json()
        await client.post(f"/v1/chats/{chat['id']}/messages", json=question)
        documents = (await client.get("/v1/documents")).json()
        messages = (await client.get("/v1/messages")).json()
    return Person(
        session.token,
        {
            "token_id": token["id"],
            "chat_id": chat["id"],
            "message_id": next(m["id"] for m in messages if m["role"] == "assistant"),
            "source_id": str(runs.source_id),
            "document_id": documents[0]["id"],
            "ingestion_id": str(run["id"]),
        },
    )


async def test_no_request_is_answered_with_a_failure_or_what_is_not_documented(
    fuzzer: Fuzzer,
) -> None:
    await to_thread.run_sync(fuzzer.run, CASES)

    report = "\n".join(fuzzer.report())
    # Seen with `-s`, as `make fuzz` says.
    sys.stderr.write(report + "\n")
    assert not fuzzer.findings, report
    assert fuzzer.sent.total() == CASES
