"""Runs over a site: crawled again and again while it changes."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from app.core.database import Database
from app.knowledge.connectors.config import WebConfig
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.runs import Runs, open_runs
from tests.serving import serve
from tests.support import execute, fetch
from tests.web_site import Site


def page(text: str, *links: str) -> str:
    anchors = "".join(f'<a href="{link}">{link}</a>' for link in links)
    return (
        f"<html><body><main><h1>{text}</h1><p>All about {text}.</p>{anchors}</main></body></html>"
    )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Three pages: the first leads to the second, which leads to the third."""
    site = Site()
    async with serve(site) as site.url:
        site.put("/", page("Home", "/a"), etag='"home"')
        site.put("/a", page("Ducks", "/b"))
        site.put("/b", page("Hens"))
        yield site


@pytest.fixture
def runs(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path, site: Site
) -> Any:
    allowed = settings.model_copy(update={"web_allow_private_addresses": True})
    with open_runs(database, embedder, allowed, tmp_path / "unused") as runs:
        config = WebConfig(kind="web", url=site.url + "/").model_dump_json()
        execute(database.url, f"UPDATE source SET kind = 'web', config = '{config}'")
        yield runs


async def crawl(runs: Runs) -> dict[str, object]:
    ingestion_id = await to_thread.run_sync(runs.begin)
    run = await to_thread.run_sync(partial(runs.finish, ingestion_id))
    names = ("state", "listed", "unchanged", "stored", "deleted", "skipped", "failed")
    return {name: run[name] for name in names if run[name]}


async def test_a_site_is_crawled_and_then_found_unchanged(runs: Runs) -> None:
    first = await crawl(runs)
    second = await crawl(runs)

    assert first == {"state": "succeeded", "listed": 3, "stored": 3}
    assert second == {"state": "succeeded", "listed": 3, "unchanged": 3}
    assert runs.texts().keys() == {"index", "a", "b"}


async def test_a_page_that_is_gone_is_removed(runs: Runs, site: Site) -> None:
    await crawl(runs)
    del site.answers["/b"]

    assert await crawl(runs) == {"state": "succeeded", "listed": 3, "unchanged": 2, "deleted": 1}
    assert runs.texts().keys() == {"index", "a"}


async def test_a_page_that_nothing_leads_to_any_more_stays_while_it_is_there(
    runs: Runs, site: Site
) -> None:
    await crawl(runs)
    site.put("/a", page("Ducks"))

    assert await crawl(runs) == {"state": "succeeded", "listed": 3, "unchanged": 2, "stored": 1}

    del site.answers["/b"]
    assert (await crawl(runs))["deleted"] == 1


async def test_pages_behind_one_that_can_not_be_read_stay(runs: Runs, site: Site) -> None:
    await crawl(runs)
    site.put("/a", "broken", status=500)

    assert await crawl(runs) == {"state": "incomplete", "listed": 3, "unchanged": 2, "failed": 1}
    assert runs.texts().keys() == {"index", "a", "b"}


async def test_a_page_that_is_not_for_everybody_is_skipped(runs: Runs, site: Site) -> None:
    site.put("/", page("Home", "/a", "/admin"))
    site.put("/admin", "no", status=403)

    assert await crawl(runs) == {"state": "succeeded", "listed": 4, "stored": 3, "skipped": 1}


async def test_pages_that_were_read_in_another_way_are_fetched_whole(
    runs: Runs, site: Site
) -> None:
    await crawl(runs)
    execute(runs.database.url, "UPDATE document SET recipe = 'older' WHERE path = 'index'")

    assert await crawl(runs) == {"state": "succeeded", "listed": 3, "unchanged": 2, "stored": 1}
    recipes = fetch(runs.database.url, "SELECT count(DISTINCT recipe) FROM document")
    assert recipes == [(1,)]
