"""`python -m app users`, as whoever runs bRAG uses it."""

import json
import subprocess
from collections.abc import Callable

import pytest

from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.accounts.people import auth_required, bearer
from tests.processes import run_app
from tests.support import fetch, open_client

Users = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def users(settings: Settings, database_url: str) -> Users:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_app(settings.var_dir, "users", *arguments, DATABASE_URL=database_url)

    return run


async def test_the_first_admin_and_a_token(
    users: Users, settings: Settings, embedder: Embedder
) -> None:
    created = users("create", " Ann@Example.org", "--admin")
    token = users("token", "ann@EXAMPLE.org", "--name", "import", "--scope", "admin")
    plain = users("token", "ann@example.org")
    async with open_client(auth_required(settings)) as client:
        me = await client.get("/v1/me", headers=bearer(token.stdout.strip()))
        sources = await client.get("/v1/sources", headers=bearer(plain.stdout.strip()))

    assert created.returncode == 0, created.stderr
    assert created.stdout == "ann@example.org can log in now, as an admin.\n"
    assert token.returncode == 0, token.stderr
    # Nothing else, so that scripts can take it.
    assert token.stdout.startswith("brag_")
    assert len(token.stdout.split()) == 1
    assert "for admin. It is shown only now." in token.stderr
    assert "for ask, ingest, read. It is shown only now." in plain.stderr
    assert me.json()["role"] == "admin"
    assert sources.status_code == 200


def test_accounts_are_listed_and_promoted(users: Users, database_url: str) -> None:
    empty = users("list")
    users("create", "ann@example.org")
    users("create", "bob@example.org", "--admin")
    promoted = users("promote", "ANN@example.org")
    listed = users("list")
    as_json = users("list", "--json")
    unknown = users("token", "eve@example.org", "--json")

    assert "users create EMAIL --admin" in empty.stdout
    assert promoted.stdout == "ann@example.org is an admin now.\n"
    rows = [line.split()[:2] for line in listed.stdout.splitlines()[1:]]
    assert rows == [["ann@example.org", "admin"], ["bob@example.org", "admin"]]
    assert [(one["email"], one["role"]) for one in json.loads(as_json.stdout)] == [
        ("ann@example.org", "admin"),
        ("bob@example.org", "admin"),
    ]
    assert json.loads(unknown.stdout)["error"]["code"] == "not_found"
    # The local account, which nobody logs in as
    assert "local " not in listed.stdout
    assert fetch(database_url, "SELECT count(*) FROM access_token") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "ann@example.org"), "There is an account ann@example.org already."),
        (("create", "ann"), "The address must be an e-mail address"),
        (("create", "ann@example.org\nBcc: eve@example.org"), "control"),
        (("promote", "bob@example.org"), "There is no account bob@example.org."),
        (("promote", "local"), "The address must be"),
        (("token", "bob@example.org"), "There is no account bob@example.org."),
        (("token", "ann@example.org", "--scope", "admin"), "ann@example.org is no admin"),
        (("token", "ann@example.org", "--scope", "everything"), "everything"),
        (("token", "ann@example.org", "--name", ""), "The name must not be empty."),
    ],
)
def test_what_cannot_be_done_is_one_plain_sentence(
    users: Users, database: Database, arguments: tuple[str, ...], words: str
) -> None:
    database.run_sync(lambda queries: queries.insert_account(email="ann@example.org", role="user"))

    result = users(*arguments)

    assert result.returncode != 0
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr
