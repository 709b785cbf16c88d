"""Who finds what, where accounts have sources of their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from anyio import to_thread

from app.accounts.models import LOCAL, Caller
from app.core.database import Database
from app.knowledge.embedding import Embedder
from app.knowledge.search import services
from app.knowledge.search.models import SearchFilters, SearchRequest
from app.resources.service import Resources, open_resources
from settings import Auth, Settings
from tests.runs import Runs, open_runs
from tests.support import execute, fetch

ANN = Caller(UUID(int=0xA), is_admin=False, scopes=LOCAL.scopes)
BOB = Caller(UUID(int=0xB), is_admin=True, scopes=LOCAL.scopes)
# More than an index gives to one search.
LOGBOOK = "\n\n".join(f"# Boat {n}\n\nBoat {n} leaves the pier.\n" for n in range(150))


@pytest.fixture
def owned(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[dict[str, Runs]]:
    """A source of Ann's and one of Bob's."""
    for caller, name in ((ANN, "ann"), (BOB, "bob")):
        execute(
            database.url,
            f"INSERT INTO account (id, email) VALUES ('{caller.account_id}', '{name}@example.com')",
        )
    with (
        open_runs(database, embedder, settings, tmp_path / "ann", ANN.account_id) as ann,
        open_runs(database, embedder, settings, tmp_path / "bob", BOB.account_id) as bob,
    ):
        yield {"ann": ann, "bob": bob}


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    """A service that wants to know who asks."""
    required = settings.model_copy(update={"auth": Auth.REQUIRED})
    async with open_resources(required) as resources:
        yield resources


async def store(resources: Resources, runs: Runs, files: dict[str, str]) -> None:
    """Ingest files, and wait until the index has them."""
    run = await to_thread.run_sync(runs.run, files)
    assert run["state"] == "succeeded", run
    await resources.follower.caught_up()


def share(runs: Runs, visibility: str) -> None:
    execute(
        runs.database.url,
        f"UPDATE source SET visibility = '{visibility}' WHERE id = '{runs.source_id}'",
    )


async def paths(resources: Resources, caller: Caller, **filters: list[UUID]) -> list[str]:
    request = SearchRequest(query="When do boats leave?", filters=SearchFilters(**filters))
    result = await services.search(resources.retriever, caller, request, max_characters=100)
    return sorted({hit.path for hit in result.hits})


async def test_each_account_finds_its_own(resources: Resources, owned: dict[str, Runs]) -> None:
    await store(resources, owned["ann"], {"ann.md": "Ann's boat leaves at two."})
    await store(resources, owned["bob"], {"bob.md": "Bob's boat leaves at six."})

    assert await paths(resources, ANN) == ["ann.md"]
    # An admin, too.
    assert await paths(resources, BOB) == ["bob.md"]
    assert await paths(resources, LOCAL) == []


async def test_what_others_keep_private_takes_nobodys_place(
    resources: Resources, owned: dict[str, Runs]
) -> None:
    await store(resources, owned["bob"], {"bob.md": LOGBOOK})
    await store(resources, owned["ann"], {"ann.md": "Something about a pier and tea."})

    assert await paths(resources, ANN) == ["ann.md"]


async def test_that_holds_where_auth_is_required_no_longer(
    settings: Settings,
    owned: dict[str, Runs],
    database: Database,
    embedder: Embedder,
    tmp_path: Path,
) -> None:
    with open_runs(database, embedder, settings, tmp_path / "local") as local:
        async with open_resources(settings) as resources:
            await store(resources, owned["bob"], {"bob.md": LOGBOOK})
            await store(resources, local, {"local.md": "Something about a pier and tea."})

            assert await paths(resources, LOCAL) == ["local.md"]


async def test_where_on_the_server_somebody_elses_source_lies_is_not_told(
    resources: Resources, owned: dict[str, Runs]
) -> None:
    await store(resources, owned["bob"], {"bob.md": "Bob's boat leaves at six."})
    share(owned["bob"], "shared")
    execute(owned["bob"].database.url, "UPDATE source SET name = location")
    await resources.follower.caught_up()

    async def sources(caller: Caller) -> set[str]:
        found = await resources.retriever.search("When do boats leave?", caller=caller, limit=5)
        return {passage.source for passage in found.passages}

    assert await sources(BOB) == {str(owned["bob"].folder)}
    assert await sources(ANN) == {owned["bob"].folder.name}


async def test_what_is_shared_is_found_by_all_until_it_is_private_again(
    resources: Resources, owned: dict[str, Runs]
) -> None:
    await store(resources, owned["bob"], {"bob.md": "Bob's boat leaves at six."})

    share(owned["bob"], "shared")
    await resources.follower.caught_up()
    shared = await paths(resources, ANN)
    share(owned["bob"], "private")
    # At once, wherever the index is.
    private = await paths(resources, ANN)

    assert (shared, private) == (["bob.md"], [])
    assert await paths(resources, BOB) == ["bob.md"]


@pytest.mark.parametrize("column", ["id", "source_id"])
async def test_filters_that_name_what_others_keep_private_find_what_unknown_ones_find(
    resources: Resources, owned: dict[str, Runs], column: str
) -> None:
    await store(resources, owned["ann"], {"ann.md": "Ann's boat leaves at two."})
    await store(resources, owned["bob"], {"bob.md": "Bob's boat leaves at six."})
    field = "document_ids" if column == "id" else "source_ids"
    statement = f"SELECT CAST({column} AS text) FROM document WHERE path = 'bob.md'"
    [(text,)] = fetch(owned["bob"].database.url, statement)
    of_bob = UUID(text)

    assert await paths(resources, BOB, **{field: [of_bob]}) == ["bob.md"]
    assert await paths(resources, ANN, **{field: [of_bob]}) == []
    assert await paths(resources, ANN, **{field: [uuid4()]}) == []
