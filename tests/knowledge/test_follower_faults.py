"""Followers that are killed at any moment, and replicas that are damaged meanwhile."""

import asyncio
import os
import random
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from app.core.database import Database
from app.knowledge.edge_generation import NOTE
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.follower import Follower
from app.knowledge.index_source import read_spec
from settings import ROOT, Settings
from tests.conftest import Ingest
from tests.knowledge.index_support import DIMENSIONS, ENCODER, MODEL, KnowledgeBase, ids_in
from tests.processes import running
from tests.support import eventually

Damage = Callable[[Path], None]


def nothing(root: Path) -> None:
    """Leave it as the killed process left it."""


def remove(root: Path) -> None:
    """Remove everything."""
    shutil.rmtree(root)


def cut(root: Path) -> None:
    """Cut one file short."""
    for file in list(root.glob("0/*-*/edge_config.json")):
        file.write_bytes(file.read_bytes()[:10])


def empty(root: Path) -> None:
    """Take the points, and leave the note that says they are there."""
    for folder in list(root.glob("0/*-*/segments/*")):
        shutil.rmtree(folder)


def scribble(root: Path) -> None:
    """Write nonsense over the note."""
    for file in list(root.glob(f"0/*-*/{NOTE}")):
        file.write_text('{"format": []}')


DAMAGES: list[Damage] = [nothing, remove, cut, empty, scribble]


@pytest.fixture
def knowledge(database_url: str) -> Iterator[KnowledgeBase]:
    """Chunks in PostgreSQL; none yet."""
    with KnowledgeBase(database_url) as knowledge:
        yield knowledge


async def start_follower(root: Path, url: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.knowledge.follower_process", str(root), "--optimise"),
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        stdin=PIPE,
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def test_a_follower_killed_at_random_moments_ends_with_just_what_is_stored(
    database: Database, knowledge: KnowledgeBase, tmp_path: Path
) -> None:
    root = tmp_path / "qdrant"
    dice = random.Random(7)
    ids = knowledge.add(f"first {n}" for n in range(300))
    for round_, damage in enumerate(DAMAGES):
        process = await start_follower(root, database.url)
        assert process.stdout
        # Sooner or later: while it builds, catches up, saves, or optimises.
        if dice.random() < 0.7:
            await process.stdout.readline()
        moment = asyncio.create_task(asyncio.sleep(dice.uniform(0, 0.5)))
        number = 0
        while not moment.done():
            ids += knowledge.add([f"round {round_}, {number}"])
            knowledge.remove([ids.pop(dice.randrange(len(ids)))])
            number += 1
            await asyncio.sleep(0)
        process.kill()
        await process.communicate()
        if root.exists():
            damage(root)

    spec = await database.run(read_spec, MODEL, DIMENSIONS)
    index = await EdgeIndex.open(root, spec, database_url=database.url)
    follower = Follower(database, index, ENCODER)
    await follower.start()
    await follower.caught_up()
    assert ids_in(index) == set(ids) == knowledge.ids()
    await follower.aclose()
    await index.aclose()


async def test_a_killed_server_never_answers_from_a_deleted_text(
    settings: Settings, ingest: Ingest
) -> None:
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    for degrees, damage in enumerate((nothing, remove, empty), start=70):
        # What the process before has in its index is deleted while nobody follows.
        await ingest({"tea.md": f"# Tea\n\nGreen tea is brewed at {degrees} degrees.\n"})
        async with running(settings.var_dir, "app", "serve", DATABASE_URL=url) as (client, server):
            said = await ask_until_answered(client)
            server.kill()
            server.wait()
        assert said == [f"{degrees} degrees"]
        damage(settings.qdrant_dir)


async def ask_until_answered(client: httpx2.AsyncClient) -> list[str]:
    """Ask again and again; return what was answered."""
    said: set[str] = set()

    async def answered() -> bool:
        response = await client.post(
            "/v1/qa-create", json={"message": "How hot is green tea brewed?"}
        )
        assert response.status_code in (200, 503)
        words = str(response.json().get("message", "")).split()
        said.update(" ".join(words[n - 1 : n + 1]) for n in range(len(words)) if "degr" in words[n])
        return bool(said)

    await eventually(answered, within=60)
    return sorted(text.rstrip(".") for text in said)
