"""Claims of requests that must have their effect once, on a real PostgreSQL."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from app.accounts.models import LOCAL_ACCOUNT
from app.core import idempotency
from app.core.database import Database, Queries
from app.core.exceptions import DatabaseUnavailable
from app.core.idempotency import (
    NO_CLAIM,
    Claim,
    KeyReused,
    Replayed,
    RequestInProgress,
)
from app.core.keyed_request import KeyedRequest
from tests.support import eventually, execute, fetch

Claims = Callable[..., Claim]


class Result(BaseModel):
    """What a request is answered with."""

    id: int


@pytest.fixture
def here(database: Database) -> UUID:
    """A process that is alive."""
    return a_process(database)


@pytest.fixture
def there(database: Database) -> UUID:
    """Another one."""
    return a_process(database)


@pytest.fixture
def claim(database: Database, here: UUID) -> Claims:
    """What a request of the local account begins with."""

    def claim(**changes: Any) -> Claim:
        fields: dict[str, Any] = {
            "account_id": LOCAL_ACCOUNT,
            "key": "a key",
            "process_id": here,
            "method": "POST",
            "path": "/v1/things",
            "query": (),
            "status": 201,
        }
        request = KeyedRequest(**fields | changes)
        return Claim(database, request, lambda result: f"/v1/things/{result.id}")

    return claim


def a_process(database: Database, alive_sec: int = 600) -> UUID:
    process_id = uuid4()
    database.run_sync(lambda q: q.upsert_process(id=process_id, alive_sec=alive_sec))
    return process_id


async def answer(database: Database, claim: Claim, number: int = 1, body: object = None) -> Result:
    await claim.take(body)
    return await database.run(claim.complete, Result(id=number))


def keys(database: Database) -> list[str]:
    return [key for (key,) in fetch(database.url, "SELECT key FROM idempotent_request ORDER BY 1")]


def sets_back(database: Database, hours: float) -> None:
    execute(
        database.url,
        f"UPDATE idempotent_request SET created_at = created_at - interval '{hours} hours'",
    )


async def test_a_completed_request_is_answered_the_same_again(
    database: Database, claim: Claims
) -> None:
    await answer(database, claim(), 7)

    with pytest.raises(Replayed) as replayed:
        await claim().take()

    assert replayed.value.status == 201
    assert replayed.value.headers == {"Location": "/v1/things/7"}
    assert replayed.value.body == '{"id":7}'


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/v1/others"},
        {"query": (("a", "1"),)},
    ],
)
async def test_another_request_of_the_same_key_is_refused(
    database: Database, claim: Claims, change: dict[str, Any]
) -> None:
    await answer(database, claim())

    with pytest.raises(KeyReused):
        await claim(**change).take()


async def test_another_request_is_refused_while_the_first_is_worked_on(claim: Claims) -> None:
    await claim().take(["one"])

    with pytest.raises(KeyReused):
        await claim().take(["another"])


async def test_the_order_of_fields_and_parameters_is_no_difference(
    database: Database, claim: Claims
) -> None:
    first = claim(query=(("a", "1"), ("b", "2")))
    await answer(database, first, body={"x": 1, "y": b"bytes"})

    with pytest.raises(Replayed):
        await claim(query=(("b", "2"), ("a", "1"))).take({"y": b"bytes", "x": 1})


async def test_keys_belong_to_accounts(database: Database, claim: Claims) -> None:
    [(other,)] = fetch(
        database.url, "INSERT INTO account (email) VALUES ('b@example.org') RETURNING id::text"
    )
    await answer(database, claim(), 1)

    await answer(database, claim(account_id=UUID(other)), 2)

    assert keys(database) == ["a key", "a key"]


@pytest.mark.parametrize("in_one_process", [True, False])
async def test_the_second_waits_for_the_first(
    database: Database, claim: Claims, there: UUID, in_one_process: bool
) -> None:
    first = claim()
    await first.take()
    second = asyncio.create_task((claim() if in_one_process else claim(process_id=there)).take())
    await asyncio.wait({second}, timeout=0.1)
    assert not second.done()

    await database.run(first.complete, Result(id=3))

    with pytest.raises(Replayed) as replayed:
        await second
    assert replayed.value.body == '{"id":3}'


async def test_one_of_many_at_once_runs(database: Database, claim: Claims, there: UUID) -> None:
    claims = [claim() if number % 2 else claim(process_id=there) for number in range(10)]

    results = await asyncio.gather(
        *(answer(database, one, number) for number, one in enumerate(claims)),
        return_exceptions=True,
    )

    [won] = [result for result in results if isinstance(result, Result)]
    replays = [result for result in results if isinstance(result, Replayed)]
    assert len(replays) == 9
    assert {replay.body for replay in replays} == {won.model_dump_json()}


async def test_waiting_has_an_end(claim: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SEC", 0.1)
    await claim().take()

    with pytest.raises(RequestInProgress) as refused:
        await claim().take()

    assert refused.value.status_code == 409
    assert refused.value.headers == {"Retry-After": "5"}


@pytest.mark.parametrize("known", [True, False])
async def test_what_a_dead_process_was_at_is_taken_over(
    database: Database, claim: Claims, there: UUID, known: bool
) -> None:
    await claim(process_id=there).take(["one"])
    execute(
        database.url,
        f"UPDATE process SET alive_until = now() WHERE id = '{there}'"
        if known
        else f"DELETE FROM process WHERE id = '{there}'",
    )

    # Nothing has come of it, so the key is free for any request.
    await answer(database, claim(), 4, body=["another"])

    with pytest.raises(Replayed):
        await claim().take(["another"])


async def test_the_second_takes_over_when_the_first_dies_meanwhile(
    database: Database, claim: Claims, there: UUID
) -> None:
    await claim(process_id=there).take()
    second = asyncio.create_task(claim().take())
    await asyncio.wait({second}, timeout=0.1)
    assert not second.done()

    execute(database.url, f"DELETE FROM process WHERE id = '{there}'")

    assert await second is None


async def test_whoever_was_taken_for_dead_leaves_nothing_behind(
    database: Database, claim: Claims, there: UUID
) -> None:
    late = claim(process_id=there)
    await late.take()
    execute(database.url, f"DELETE FROM process WHERE id = '{there}'")
    taker = claim()
    await taker.take()

    def work(queries: Queries) -> None:
        queries.insert_account(email="late@example.org", role="user")
        late.complete(queries, Result(id=1))

    with pytest.raises(RequestInProgress):
        await database.run(work)
    await late.close(failed=True)

    assert fetch(database.url, "SELECT FROM account WHERE email = 'late@example.org'") == []
    assert await database.run(taker.complete, Result(id=2)) == Result(id=2)


async def test_a_process_that_postgresql_takes_for_dead_does_not_repeat_itself(
    database: Database, claim: Claims, here: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SEC", 0.1)
    await claim().take()
    execute(database.url, f"DELETE FROM process WHERE id = '{here}'")

    with pytest.raises(RequestInProgress):
        await claim().take()


async def test_what_has_failed_is_forgotten(database: Database, claim: Claims) -> None:
    first = claim()
    await first.take(["one"])
    await first.close(failed=True)

    await answer(database, claim(), 5, body=["another"])


async def test_what_came_to_nothing_is_forgotten(database: Database, claim: Claims) -> None:
    first = claim()
    await first.take()

    await first.close(failed=False)

    assert keys(database) == []


async def test_what_fails_after_its_effect_stays_answered(
    database: Database, claim: Claims
) -> None:
    first = claim()
    await answer(database, first)

    await first.close(failed=True)

    with pytest.raises(Replayed):
        await claim().take()


async def test_whoever_only_waited_forgets_nothing_of_the_first(
    database: Database, claim: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SEC", 0)
    first, second = claim(), claim()
    await first.take()
    with pytest.raises(RequestInProgress):
        await second.take()

    await second.close(failed=True)

    assert await database.run(first.complete, Result(id=1)) == Result(id=1)


async def test_what_fails_while_postgresql_is_away_is_forgotten_afterwards(
    database: Database, claim: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "RETRY_SEC", 0.01)
    first = claim()
    await first.take()
    run_statement, is_away = database.run_statement, True

    async def away_at_first(*args: Any, **kwargs: Any) -> Any:
        if is_away:
            raise DatabaseUnavailable
        return await run_statement(*args, **kwargs)

    monkeypatch.setattr(database, "run_statement", away_at_first)
    await first.close(failed=True)
    assert keys(database) == ["a key"]
    is_away = False

    async def is_forgotten() -> bool:
        return keys(database) == []

    await eventually(is_forgotten)


async def test_an_effect_that_fails_to_commit_is_not_answered(
    database: Database, claim: Claims
) -> None:
    first = claim()
    await first.take()

    def work(queries: Queries) -> None:
        first.complete(queries, Result(id=1))
        raise ValueError("after all")

    with pytest.raises(ValueError, match="after all"):
        await database.run(work)
    await first.close(failed=True)

    assert await claim().take() is None


@pytest.mark.parametrize("ended", [False, True])
async def test_a_stream_is_found_by_the_answer_it_generates(
    database: Database, claim: Claims, there: UUID, ended: bool
) -> None:
    generation_id = uuid4()
    first = claim(process_id=there)
    await first.take()
    await database.run_statement(first.generates, generation_id)
    if ended:
        # Even then it has happened: what there is of it is read again.
        execute(database.url, f"DELETE FROM process WHERE id = '{there}'")

    await first.close(failed=False)

    assert await claim().take() == generation_id
    with pytest.raises(KeyReused):
        await claim().take(["another"])


async def test_an_answer_that_fails_in_the_end_is_forgotten(
    database: Database, claim: Claims
) -> None:
    first = claim()
    await first.take()
    await database.run_statement(first.generates, uuid4())

    await database.run_statement(first.forget)

    assert await claim().take() is None


async def test_a_key_is_free_again_after_a_day(database: Database, claim: Claims) -> None:
    await answer(database, claim(), 1)
    sets_back(database, 23.9)
    with pytest.raises(Replayed):
        await claim().take()

    sets_back(database, 0.1)

    await answer(database, claim(), 2, body=["another"])
    with pytest.raises(Replayed) as replayed:
        await claim().take(["another"])
    assert replayed.value.body == '{"id":2}'


async def test_old_keys_are_deleted_a_few_at_a_time(database: Database, claim: Claims) -> None:
    for number in range(25):
        await answer(database, claim(key=f"old {number}"))
    sets_back(database, 24)

    await answer(database, claim(key="new 1"))
    assert len(keys(database)) == 5 + 1

    await answer(database, claim(key="new 2"))
    assert keys(database) == ["new 1", "new 2"]


async def test_a_deleted_account_has_no_keys(database: Database, claim: Claims) -> None:
    [(account_id,)] = fetch(
        database.url, "INSERT INTO account (email) VALUES ('b@example.org') RETURNING id::text"
    )
    await answer(database, claim(account_id=UUID(account_id)))

    execute(database.url, f"DELETE FROM account WHERE id = '{account_id}'")

    assert keys(database) == []


async def test_without_a_key_nothing_is_asked_of_postgresql() -> None:
    no_queries: Any = None

    assert await NO_CLAIM.take(object()) is None
    NO_CLAIM.generates(no_queries, uuid4())
    NO_CLAIM.forget(no_queries)
    await NO_CLAIM.close(failed=True)

    assert NO_CLAIM.complete(no_queries, Result(id=1)) == Result(id=1)
