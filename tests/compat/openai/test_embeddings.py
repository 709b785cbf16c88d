"""Embeddings with OpenAI's own client: the vectors that passages have."""

import asyncio
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import httpx2
import numpy as np
import openai
import pytest

from app.accounts.models import ALL_SCOPES, Caller
from app.compat.openai.embedding import Embeddings
from app.compat.openai.errors import TooManyEmbeddings
from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.accounts.people import auth_required, join, log_in, new_token
from tests.chat.asking import ask
from tests.compat.openai.clients import openai_client
from tests.support import fetch, open_client

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = ["How do I ingest a folder?", "Run it in a folder.", "Grüße ✓"]


async def test_texts_have_the_vectors_of_passages(
    api: httpx2.AsyncClient, embedder: Embedder
) -> None:
    expected = embedder.embed(TEXTS)
    async with openai_client(api) as client:
        # It asks for base64 unless told otherwise.
        several = await client.embeddings.create(model=MODEL, input=TEXTS)
        one = await client.embeddings.create(
            model=MODEL, input=TEXTS[1], encoding_format="float", dimensions=384
        )

    assert [item.index for item in several.data] == [0, 1, 2]
    assert np.allclose([item.embedding for item in several.data], expected, atol=1e-6)
    assert np.allclose(one.data[0].embedding, expected[1], atol=1e-6)
    assert several.model == MODEL
    assert several.usage.prompt_tokens == sum(embedder.count_tokens(TEXTS))


NOT_HERE: list[tuple[dict[str, Any], type[openai.APIStatusError], str]] = [
    ({"model": "text-embedding-3-small"}, openai.NotFoundError, f"There is: {MODEL}"),
    ({"input": [[1, 2, 3]]}, openai.BadRequestError, "check_embedding_ctx_length"),
    ({"input": [1, 2, 3]}, openai.BadRequestError, "check_embedding_ctx_length"),
    ({"input": []}, openai.BadRequestError, "list of texts"),
    ({"input": ""}, openai.BadRequestError, "empty"),
    ({"input": ["a", "b\0"]}, openai.BadRequestError, r"input\[1\].*NUL"),
    ({"input": ["a", None]}, openai.BadRequestError, r"input\[1\]"),
    ({"input": ["a"] * 2049}, openai.BadRequestError, "2,048"),
    ({"input": ["a", "word " * 300]}, openai.BadRequestError, r"input\[1\]: has 302 tokens"),
    ({"dimensions": 100}, openai.BadRequestError, "384"),
    ({"extra_body": {"truncate": True}}, openai.BadRequestError, "truncate"),
    ({"extra_body": {"encoding_format": "int8"}}, openai.BadRequestError, "base64"),
]


async def test_what_can_not_be_embedded_is_told(api: httpx2.AsyncClient) -> None:
    async with openai_client(api) as client:
        for fields, error, words in NOT_HERE:
            with pytest.raises(error, match=words):
                await client.embeddings.create(**{"model": MODEL, "input": "a", **fields})


async def test_a_question_does_not_wait_for_a_pile_of_texts(api: httpx2.AsyncClient) -> None:
    body = {"model": MODEL, "input": ["some words to read " * 50] * 200}
    await ask(api, "Is it deep?")
    pile = asyncio.create_task(api.post("/v1/embeddings", json=body))
    await asyncio.sleep(0.05)

    await ask(api, "Is it deep?")

    assert not pile.done()
    # Another's few texts don't wait for all of the pile either.
    few = await api.post("/v1/embeddings", json={"model": MODEL, "input": TEXTS})
    assert few.status_code == 200
    assert not pile.done()
    pile.cancel()


async def test_one_account_does_not_take_every_place(embedder: Embedder) -> None:
    embeddings = Embeddings(lambda: embedder)
    ann, bob = (Caller(uuid4(), is_admin=False, scopes=ALL_SCOPES) for _ in range(2))
    few = {"model": MODEL, "input": "a"}
    waiting = [asyncio.create_task(embeddings.create(few, ann)) for _ in range(4)]
    # Each has begun.
    await asyncio.sleep(0)

    with pytest.raises(TooManyEmbeddings):
        await embeddings.create(few, ann)
    await embeddings.create(few, bob)
    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    # Neither who has an answer nor who has left waits any longer.
    for _ in range(5):
        await embeddings.create(few, ann)


async def test_embeddings_need_the_scope_to_ask_and_count_as_requests(
    settings: Settings, database: Database, embedder: Embedder
) -> None:
    secured = auth_required(settings, requests_per_minute=4)
    session = log_in(database, secured, join(database, "ann@example.org"))
    async with open_client(secured) as api:
        reading = (await new_token(api, session, "read"))["token"]
        asking = (await new_token(api, session, "ask"))["token"]
        for token, error in (
            ("none", openai.AuthenticationError),
            (reading, openai.PermissionDeniedError),
            (asking, None),
            (asking, openai.RateLimitError),
        ):
            async with openai_client(api, token) as client:
                with pytest.raises(error) if error else nullcontext():
                    await client.embeddings.create(model=MODEL, input="a")
    assert fetch(database.url, "SELECT FROM message") == []
