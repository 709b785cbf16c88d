"""What answers cost, by the prices of their time: with the answer, per account, and as a metric."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from app.core.database import Database
from app.core.llm import Usage
from app.core.prices import Prices
from settings import Settings
from tests.accounts.people import auth_required, bearer, join, log_in
from tests.chat.asking import until_found
from tests.chat.chats.asking import begin_chat
from tests.conftest import Ingest
from tests.core.metrics import scrape
from tests.processes import run_app
from tests.support import execute, fetch, open_client, read_events
from tests.upstream import MODEL, Upstream, chunk, completion, sse

PRICES = f"{MODEL}=1000/2000.5"
# 11 tokens and 7, of which a million cost so much.
COST = 11 * 1000 / 1e6 + 7 * 2000.5 / 1e6
SELECTED = {"message": "When is it open?", "selected_text": "It is open from 9 to 17."}


def priced(settings: Settings, prices: str = PRICES) -> Settings:
    return settings.model_copy(
        update={"openai_prices": Settings(openai_prices=prices).openai_prices}
    )


@pytest.fixture
async def client(
    upstream_settings: Settings, embedder: object
) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_client(priced(upstream_settings)) as client:
        yield client


async def usage(client: httpx2.AsyncClient, **params: Any) -> Any:
    response = await client.get("/v1/usage", params=params)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    ("used", "cost"),
    [
        (Usage(11, 7), COST),
        (Usage(0, 0), 0),
        (Usage(11, None), None),
        (Usage(None, 7), None),
        (Usage(), None),
    ],
)
def test_what_is_not_known_costs_an_unknown_amount(used: Usage, cost: float | None) -> None:
    prices = Prices(Settings(openai_prices=PRICES).openai_prices)
    found = prices.cost(MODEL, used)

    assert (None if found is None else float(found)) == pytest.approx(cost)
    assert prices.cost("other-model", used) is None


async def test_an_answer_tells_what_it_has_cost_wherever_it_is_shown(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    before = await scrape(client)
    answer = (await client.post("/v1/qa-create", json=SELECTED)).json()
    events = await read_events(client, "/v1/completion-stream", "Hello?")

    expected = {"prompt_tokens": 11, "completion_tokens": 7, "cost": pytest.approx(COST)}
    assert answer["usage"] == expected
    assert events[-1].data["usage"] == expected
    trace = (await client.get(f"/v1/messages/{answer['id']}/trace")).json()
    assert trace["usage"] == expected
    messages = (await client.get("/v1/messages")).json()
    assert [one["usage"] for one in messages if one["role"] == "assistant"] == [expected] * 2
    after = await scrape(client)
    assert after.since(before, "brag_cost_total", model=MODEL) == pytest.approx(2 * COST)
    # The prices of today change nothing about it.
    [(stored,)] = fetch(database_url, f"SELECT cost FROM message WHERE id = '{answer['id']}'")
    assert float(stored) == pytest.approx(COST)


async def test_usage_is_told_by_day_and_model(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    for model in (MODEL, MODEL, "other-model"):
        await client.post("/v1/completion", json={"message": "Hello?", "model": model})
    execute(
        database_url,
        "UPDATE model_call SET created_at = now() - interval '2 days'"
        " WHERE id = (SELECT min(id) FROM model_call)",
    )

    told = await usage(client, days=3)
    today = await usage(client, days=1)

    assert told["cost"] == pytest.approx(2 * COST)
    assert told["calls_without_cost"] == 1
    one = {"calls": 1, "prompt_tokens": 11, "completion_tokens": 7}
    known = {"model": MODEL, **one, "cost": pytest.approx(COST), "calls_without_cost": 0}
    unknown = {"model": "other-model", **one, "cost": None, "calls_without_cost": 1}
    days = [row.pop("day") for row in told["by_day"]]
    assert told["by_day"] == [unknown, known, known] or told["by_day"] == [known, unknown, known]
    assert days[0] == days[1] > days[2]
    assert len(today["by_day"]) == 2


async def test_calls_that_are_passed_through_are_counted_too(client: httpx2.AsyncClient) -> None:
    before = await scrape(client)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}]}
    for streamed in (False, True):
        answer = await client.post("/v1/chat/completions", json=body | {"stream": streamed})
        assert answer.status_code == 200, answer.text

    told = await usage(client)
    after = await scrape(client)

    assert told["by_day"][0]["calls"] == 2
    assert told["cost"] == pytest.approx(2 * COST)
    assert after.since(before, "brag_tokens_total", model=MODEL, kind="prompt") == 22
    assert after.since(before, "brag_cost_total", model=MODEL) == pytest.approx(2 * COST)


async def test_what_was_used_stays_when_its_chat_is_deleted(client: httpx2.AsyncClient) -> None:
    chat = f"/v1/chats/{await begin_chat(client)}"
    await client.post(f"{chat}/messages", json=SELECTED)
    await client.delete(chat)

    assert (await usage(client))["cost"] == pytest.approx(COST)


async def test_writing_a_question_out_is_counted_too(
    upstream_settings: Settings, upstream: Upstream, embedder: object, database_url: str
) -> None:
    settings = priced(upstream_settings).model_copy(update={"tokens_per_day": 1000})
    async with open_client(settings) as client:
        chat = f"/v1/chats/{await begin_chat(client)}"
        await client.post(f"{chat}/messages", json=SELECTED)
        answer = (await client.post(f"{chat}/messages", json=SELECTED)).json()
        told = await usage(client)

    assert len(upstream.requests) == 3, "one was written out"
    assert answer["usage"]["prompt_tokens"] == 11
    assert answer["usage"]["cost"] == pytest.approx(2 * COST)
    assert told["by_day"][0]["calls"] == 3
    assert told["cost"] == pytest.approx(3 * COST)
    purposes = fetch(database_url, "SELECT purpose FROM model_call ORDER BY id")
    assert purposes == [("answer",), ("rewriting",), ("answer",)]
    assert {count for (count,) in fetch(database_url, "SELECT count FROM rate_limit")} == {3 * 18}


async def test_writing_out_what_openais_clients_send_is_counted_too(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, database_url: str
) -> None:
    await ingest({"museum.md": "# Museum\n\nThe museum is open from 9 to 17.\n"})
    settings = priced(upstream_settings).model_copy(update={"tokens_per_day": 1000})
    said = [("user", "When is the museum open?"), ("assistant", "From 9."), ("user", "Until when?")]
    messages = [{"role": role, "content": text} for role, text in said]
    upstream.behave = upstream.answers("When does the museum close?")
    async with open_client(settings) as client:
        await until_found(client, "museum.md")
        answer = await client.post(
            "/v1/chat/completions", json={"model": "brag", "messages": messages}
        )
        assert answer.status_code == 200, answer.text
        told = await usage(client)

    assert len(upstream.requests) == 2, "one was written out"
    assert told["cost"] == pytest.approx(2 * COST)
    purposes = fetch(database_url, "SELECT purpose FROM model_call ORDER BY id")
    assert purposes == [("rewriting",), ("answer",)]
    assert {count for (count,) in fetch(database_url, "SELECT count FROM rate_limit")} == {2 * 18}


async def test_tokens_that_are_not_told_make_the_cost_unknown(
    client: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.sends(completion("Hello!") | {"usage": None})
    answer = (await client.post("/v1/completion", json={"message": "Hello?"})).json()
    upstream.behave = upstream.says(sse(chunk("Half")), then_break=True)
    await read_events(client, "/v1/completion-stream", "Hello?")

    assert answer["usage"]["cost"] is None
    told = await usage(client)
    assert told["cost"] is None
    assert told["calls_without_cost"] == 2


async def test_only_admins_see_what_others_have_used(
    upstream_settings: Settings, database: Database, embedder: object, settings: Settings
) -> None:
    secured = auth_required(priced(upstream_settings))
    ann, bob, eve = (join(database, f"{name}@example.org") for name in ("ann", "bob", "eve"))
    execute(database.url, f"UPDATE account SET role = 'admin' WHERE id = '{eve}'")
    headers = {one: bearer(log_in(database, secured, one).token) for one in (ann, bob, eve)}
    async with open_client(secured) as client:
        await client.post("/v1/completion", json={"message": "Hello?"}, headers=headers[ann])

        async def ask(who: Any, **params: str) -> httpx2.Response:
            return await client.get("/v1/usage", params=params, headers=headers[who])

        assert (await ask(ann)).json()["cost"] == pytest.approx(COST)
        assert (await ask(bob)).json()["by_day"] == []
        refused = await ask(bob, account="ann@example.org")
        assert (refused.status_code, "cost" in refused.json()) == (403, False)
        seen = await ask(eve, account="Ann@example.org")
        assert seen.json()["cost"] == pytest.approx(COST)
        assert (await ask(eve, account="nobody@example.org")).status_code == 404

    url = {"DATABASE_URL": database.url}
    listed = run_app(settings.var_dir, "users", "usage", "--json", **url)
    [row] = json.loads(listed.stdout)
    assert (row["email"], row["model"], row["calls"]) == ("ann@example.org", MODEL, 1)
    assert row["cost"] == pytest.approx(COST)
    assert "ann@example.org" in run_app(settings.var_dir, "users", "usage", **url).stdout


async def test_the_metric_says_nothing_where_no_price_is_known(
    upstream_settings: Settings, embedder: object
) -> None:
    plain = upstream_settings.model_copy(update={"openai_api_key": SecretStr("sk-x")})
    async with open_client(plain) as client:
        before = await scrape(client)
        answer = (await client.post("/v1/completion", json={"message": "Hello?"})).json()
        after = await scrape(client)

    assert answer["usage"]["cost"] is None
    assert after.since(before, "brag_cost_total", model=MODEL) == 0


@pytest.mark.parametrize(
    "value",
    ["gpt-5", "gpt-5=1", "gpt-5=1/", "=1/2", "gpt-5=a/b", "gpt-5=-1/2", "gpt-5=NaN/1", "a=1/2,b"],
)
def test_prices_that_make_no_sense_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must look like gpt-5-mini="):
        Settings(openai_prices=value)


def test_prices_are_named_for_their_models() -> None:
    prices = Settings(openai_prices="a=b/c=0.25/2, other = 1 / 4,").openai_prices

    assert {name: tuple(map(float, price)) for name, price in prices.items()} == {
        "a=b/c": (0.25, 2),
        "other": (1, 4),
    }
