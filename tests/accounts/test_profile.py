"""GET, PATCH and DELETE /v1/me, and logging out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx2
import psycopg2
import psycopg2.extensions

from app.accounts.models import LOCAL_ACCOUNT
from app.accounts.sessions import Session
from app.core.database import Database
from settings import Settings
from tests.accounts.people import bearer, join, log_in, new_token, open_page
from tests.support import eventually, execute, fetch

OWNED = ("source", "document", "chunk", "upload", "ingestion", "ingestion_item", "message")


def own_something(url: str, account_id: UUID) -> tuple[UUID, UUID, UUID]:
    """Give an account one of everything; return a source, its run and a question."""
    source, document, run, question = (uuid4() for _ in range(4))
    execute(
        url,
        f"""
        INSERT INTO source (id, account_id, kind, location)
        VALUES ('{source}', '{account_id}', 'folder', '/{source}');
        INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)
        VALUES ('{document}', '{source}', 'a.md', 'A', sha256('a'), '1', 'a');
        INSERT INTO chunk (id, document_id, ordinal, start_offset, end_offset, heading_path,
            content_hash, text)
        VALUES (gen_random_uuid(), '{document}', 0, 0, 1, '{{}}', sha256('a'), 'a');
        INSERT INTO upload (document_id, source_id, path, content)
        VALUES ('{document}', '{source}', 'a.md', 'a');
        INSERT INTO ingestion (id, source_id, cause, state)
        VALUES ('{run}', '{source}', 'request', 'running');
        INSERT INTO ingestion_item (ingestion_id, path, state) VALUES ('{run}', 'a.md', 'pending');
        INSERT INTO message (id, account_id, role, model, message)
        VALUES ('{question}', '{account_id}', 'user', 'm', 'a question');
        INSERT INTO message (account_id, question_id, role, model, message)
        VALUES ('{account_id}', '{question}', 'assistant', 'm', 'an answer');
        INSERT INTO procrastinate_jobs (queue_name, task_name, args)
        VALUES ('document', 'ingestion:document', '{{"ingestion_id": "{run}", "path": "a.md"}}');
        """,
    )
    return source, run, question


def counts(url: str) -> dict[str, int]:
    return {table: fetch(url, f"SELECT count(*) FROM {table}")[0][0] for table in OWNED}


@contextmanager
def transaction(url: str) -> Iterator[psycopg2.extensions.cursor]:
    """A transaction of somebody else's; commits at the end."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


async def waits_for_a_lock(url: str) -> None:
    async def waits() -> bool:
        return fetch(
            url,
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()",
        ) != [(0,)]

    await eventually(waits)


async def test_a_new_account_tells_nothing_of_its_owner(
    people_api: httpx2.AsyncClient, ann: UUID, session: Session
) -> None:
    account = (await people_api.get("/v1/me", headers=bearer(session.token))).json()

    assert account.pop("created_at")
    assert account == {
        "id": str(ann),
        "email": "ann@example.org",
        "role": "user",
        "name": "",
        "software_background": None,
        "hardware_background": None,
        "auth": "required",
        "csrf_token": None,
    }


async def test_an_account_is_changed_where_something_is_said(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    async def change(**fields: Any) -> dict[str, Any]:
        response = await people_api.patch("/v1/me", json=fields, headers=bearer(session.token))
        assert response.status_code == 200, response.text
        account: dict[str, Any] = response.json()
        return account

    first = await change(name="Ann", software_background="expert")
    second = await change(hardware_background="beginner")
    third = await change(software_background=None)
    fourth = await change(name="")
    shown = (await people_api.get("/v1/me", headers=bearer(session.token))).json()

    def told(account: dict[str, Any]) -> tuple[Any, ...]:
        return (account["name"], account["software_background"], account["hardware_background"])

    assert told(first) == ("Ann", "expert", None)
    assert told(second) == ("Ann", "expert", "beginner")
    assert told(third) == ("Ann", None, "beginner")
    assert told(fourth) == ("", None, "beginner")
    assert shown == fourth | {"auth": "required", "csrf_token": None}


async def test_what_is_no_profile_is_refused(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    headers = bearer(session.token)
    for field, value in (
        ("name", "x" * 201),
        ("name", "x" * 500_000),
        ("name", "two\nlines"),
        ("name", "NUL\0"),
        ("name", None),
        ("software_background", "wizard"),
        ("hardware_background", 3),
        ("role", "admin"),
        ("email", "eve@example.org"),
    ):
        response = await people_api.patch("/v1/me", json={field: value}, headers=headers)

        assert response.status_code == 422, (field, response.text)
        assert field in response.json()["detail"]
        assert len(response.content) < 2_000

    account = (await people_api.get("/v1/me", headers=headers)).json()
    assert (account["name"], account["role"]) == ("", "user")


async def test_logging_out_ends_this_session_and_no_other(
    secured: Settings, database: Database, ann: UUID, session: Session
) -> None:
    other = log_in(database, secured, ann)

    async with open_page(secured, session) as page:
        response = await page.post("/v1/logout", headers={"X-CSRF-Token": session.csrf_token})
        again = await page.get("/v1/me", headers=bearer(session.token))
        elsewhere = await page.get("/v1/me", headers=bearer(other.token))

    assert response.status_code == 204
    assert response.headers["set-cookie"].startswith('brag_session=""; ')
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert again.status_code == 401
    assert elsewhere.status_code == 200


async def test_deleting_an_account_removes_all_that_belongs_to_it_and_nothing_else(
    people_api: httpx2.AsyncClient,
    database: Database,
    secured: Settings,
    ann: UUID,
    session: Session,
) -> None:
    bob = join(database, "bob@example.org")
    of_bob = log_in(database, secured, bob)
    own_something(database.url, bob)
    of_bob_only = counts(database.url)
    own_something(database.url, ann)
    own_something(database.url, ann)
    made = await new_token(people_api, session, "read")
    for email in ("ann@example.org", "bob@example.org"):
        execute(
            database.url,
            "INSERT INTO login_link (token_hash, email, registers, expires_at)"
            f" VALUES (sha256('{email}'), '{email}', false, now() + interval '1 minute')",
        )
    execute(database.url, "DELETE FROM index_change")

    response = await people_api.delete("/v1/me", headers=bearer(session.token))

    assert response.status_code == 200
    assert response.json() == {"sources": 2, "documents": 2, "messages": 4}
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert counts(database.url) == of_bob_only
    assert fetch(database.url, "SELECT email FROM account ORDER BY email") == [
        ("bob@example.org",),
        ("local",),
    ]
    assert fetch(database.url, "SELECT email FROM login_link") == [("bob@example.org",)]
    for token in (session.token, made["token"]):
        assert (await people_api.get("/v1/me", headers=bearer(token))).status_code == 401
    assert (await people_api.get("/v1/me", headers=bearer(of_bob.token))).status_code == 200


async def test_the_indexes_and_the_workers_hear_of_a_deletion(
    people_api: httpx2.AsyncClient, database: Database, ann: UUID, session: Session
) -> None:
    own_something(database.url, ann)
    execute(database.url, "DELETE FROM index_change")
    chunks = fetch(database.url, "SELECT id FROM chunk")

    await people_api.delete("/v1/me", headers=bearer(session.token))

    assert fetch(database.url, "SELECT chunk_id FROM index_change") == chunks
    assert fetch(
        database.url, "SELECT task_name, status::text FROM procrastinate_jobs ORDER BY task_name"
    ) == [("ingestion:document", "cancelled"), ("maintenance:prune", "todo")]


async def test_a_deletion_waits_for_a_step_under_way_and_the_next_step_finds_nothing(
    people_api: httpx2.AsyncClient, database: Database, ann: UUID, session: Session
) -> None:
    source, run, _ = own_something(database.url, ann)
    removed: list[Any] = []

    async def delete() -> None:
        response = await people_api.delete("/v1/me", headers=bearer(session.token))
        removed.append(response.json())

    async with anyio.create_task_group() as group:
        with transaction(database.url) as step:
            # In the order in which every step locks.
            step.execute(f"SELECT FROM source WHERE id = '{source}' FOR UPDATE")
            group.start_soon(delete)
            await waits_for_a_lock(database.url)
            step.execute(f"SELECT FROM ingestion WHERE id = '{run}' FOR UPDATE")
            step.execute(
                "INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)"
                f" VALUES (gen_random_uuid(), '{source}', 'b.md', 'B', sha256('b'), '1', 'b')"
            )
            step.execute(f"UPDATE ingestion_item SET state = 'stored' WHERE ingestion_id = '{run}'")

    assert removed == [{"sources": 1, "documents": 2, "messages": 2}]
    assert not any(counts(database.url).values())
    assert database.run_sync(lambda queries: queries.lock_ingestion(ingestion_id=run)) is None


async def test_an_answer_waits_for_its_account_before_it_locks_its_question(
    database: Database, ann: UUID
) -> None:
    """As a deletion does: in another order the two would wait for each other."""
    _, _, question = own_something(database.url, ann)
    stored: list[Any] = []

    def answer() -> None:
        row = database.run_sync(
            lambda queries: queries.insert_answer(
                id=uuid4(), account_id=ann, question_id=question, status="complete", model="m",
                message="late", finish_reason=None, prompt_tokens=None, completion_tokens=None,
                sources="[]", citations="[]", trace="{}", chat_id=None, cost=None, calls="[]",
            )
        )  # fmt: skip
        stored.append(row)

    thread = threading.Thread(target=answer)
    with transaction(database.url) as deletion:
        deletion.execute(f"SELECT FROM account WHERE id = '{ann}' FOR UPDATE")
        thread.start()
        await waits_for_a_lock(database.url)
        deletion.execute(f"SELECT FROM message WHERE id = '{question}' FOR UPDATE NOWAIT")
        deletion.execute(f"DELETE FROM account WHERE id = '{ann}'")
    thread.join(10)

    assert stored == [None]


async def test_the_last_admin_stays(
    people_api: httpx2.AsyncClient, database: Database, secured: Settings
) -> None:
    sessions = [
        log_in(database, secured, join(database, f"{name}@example.org", role="admin"))
        for name in ("root", "toor")
    ]
    answers: list[httpx2.Response] = []

    async def leave(session: Session) -> None:
        answers.append(await people_api.delete("/v1/me", headers=bearer(session.token)))

    # Both leave at the same time: one can.
    async with anyio.create_task_group() as group:
        for session in sessions:
            group.start_soon(leave, session)

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["error"]["code"] == "last_admin"
    assert "set-cookie" not in refused.headers
    assert fetch(
        database.url,
        f"SELECT count(*) FROM account WHERE role = 'admin' AND id <> '{LOCAL_ACCOUNT}'",
    ) == [(1,)]


async def test_without_auth_the_account_is_the_local_one_and_stays(
    api: httpx2.AsyncClient,
) -> None:
    renamed = await api.patch("/v1/me", json={"name": "Desk", "software_background": "advanced"})
    shown = await api.get("/v1/me")
    deleted = await api.delete("/v1/me")

    assert shown.json() == renamed.json() | {"auth": "off", "csrf_token": None}
    assert shown.json()["id"] == str(LOCAL_ACCOUNT)
    assert shown.json()["name"] == "Desk"
    assert deleted.status_code == 409
    assert deleted.json()["error"]["code"] == "local_account_stays"
    assert "AUTH is off" in deleted.json()["detail"]
