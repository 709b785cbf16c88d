"""Chat completions that are passed through: whose they are, and what they use up."""

import asyncio
from typing import Any

import openai
import pytest

from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.accounts.people import auth_required, bearer, join, log_in, new_token
from tests.compat.openai.clients import HELLO, openai_client, read
from tests.support import eventually, fetch, open_client
from tests.upstream import MODEL, Pieces, Upstream


async def test_tokens_scopes_and_limits_hold(
    upstream_settings: Settings,
    upstream: Upstream,
    database: Database,
    embedder: Embedder,
    pieces: Pieces,
) -> None:
    secured = auth_required(upstream_settings, concurrent_generations=1, tokens_per_day=20)
    session = log_in(database, secured, join(database, "ann@example.org"))
    async with open_client(secured) as api:
        reading = (await new_token(api, session, "read"))["token"]
        asking = (await new_token(api, session, "ask"))["token"]
        for token, error in (
            ("brag_wrong", openai.AuthenticationError),
            (reading, openai.PermissionDeniedError),
        ):
            async with openai_client(api, token) as client:
                with pytest.raises(error):
                    await client.chat.completions.create(model=MODEL, messages=HELLO)
        client = openai_client(api, asking)
        first = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        with pytest.raises(openai.RateLimitError, match="in the making") as refused:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
        qa = await api.post("/v1/qa-create", json={"message": "?"}, headers=bearer(session.token))
        assert qa.status_code == 429
        pieces.put_nowait(None)
        await read(first)
        upstream.behave = upstream.answers("Well.")

        async def is_free() -> bool:
            return fetch(database.url, "SELECT FROM generation WHERE ended_at IS NULL") == []

        await eventually(is_free)
        await client.chat.completions.create(model=MODEL, messages=HELLO)
        with pytest.raises(openai.RateLimitError, match="used up") as spent:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
        await client.close()

    assert int(refused.value.response.headers["retry-after"]) > 0
    assert int(spent.value.response.headers["retry-after"]) > 0
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_reader_has_used_who_left_is_counted(
    upstream_settings: Settings,
    upstream: Upstream,
    database_url: str,
    embedder: Embedder,
    *,
    stream: bool,
) -> None:
    upstream.behave = upstream.hangs
    limited = upstream_settings.model_copy(
        update={"tokens_per_day": 1000, "concurrent_generations": 1}
    )
    async with open_client(limited) as api, openai_client(api) as client:
        long: Any = [{"role": "user", "content": "word " * 100}]
        asking: asyncio.Task[Any] = asyncio.create_task(
            client.chat.completions.create(model=MODEL, messages=long, stream=stream)
        )

        async def is_asked() -> bool:
            return bool(upstream.requests)

        await eventually(is_asked)
        asking.cancel()

        async def is_counted() -> bool:
            counts = [row[0] for row in fetch(database_url, "SELECT count FROM rate_limit")]
            return bool(counts) and min(counts) > 100

        await eventually(is_counted)
    assert fetch(database_url, "SELECT FROM generation WHERE ended_at IS NULL") == []


async def test_a_stream_ends_with_its_token(
    upstream_settings: Settings, database: Database, embedder: Embedder, pieces: Pieces
) -> None:
    secured = auth_required(upstream_settings)
    session = log_in(database, secured, join(database, "ann@example.org"))
    async with open_client(secured) as api:
        token = await new_token(api, session, "ask")
        async with openai_client(api, token["token"]) as client:
            stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            await api.delete(f"/v1/tokens/{token['id']}", headers=bearer(session.token))
            with pytest.raises(openai.APIError, match="valid token"):
                await read(stream)
