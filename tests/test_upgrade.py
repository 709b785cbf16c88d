"""A migration while a server answers: it goes on with the newer schema, and so do its clients."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2

from settings import ROOT, Settings
from tests.processes import running
from tests.support import fetch

# As CONTRIBUTING.md wants them: they only add.
MIGRATION = """-- migrate:up
ALTER TABLE message ADD COLUMN mood text NOT NULL DEFAULT 'calm';
CREATE TABLE mood (name text PRIMARY KEY);
CREATE INDEX IF NOT EXISTS message_mood ON message (mood);

-- migrate:down
DROP TABLE mood;
ALTER TABLE message DROP COLUMN mood;
"""


def new_release(folder: Path) -> Path:
    """Copy the repository, with a migration more."""
    for name in ("app", "db", "settings"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "db/migrations/20991231000000_add_mood.sql").write_text(MIGRATION)
    return folder


async def test_a_server_goes_on_answering_while_another_process_migrates(
    settings: Settings, tmp_path: Path
) -> None:
    assert settings.database_url
    url = settings.database_url.get_secret_value()
    newer = new_release(tmp_path / "newer")
    answered = 0

    async def keep_asking(client: httpx2.AsyncClient, done: asyncio.Event) -> None:
        nonlocal answered
        while not done.is_set():
            response = await client.post("/v1/completion", json={"message": "Are you there?"})
            assert response.status_code == 200, response.text
            messages = await client.get("/v1/messages")
            assert messages.status_code == 200, messages.text
            answered += 1

    async with running(settings.var_dir, "app", "serve", DATABASE_URL=url) as (client, _):
        done = asyncio.Event()
        asking = asyncio.create_task(keep_asking(client, done))
        while not answered:
            await asyncio.sleep(0.05)
        before = answered
        migrating = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "app", "migrate"],
            cwd=newer,
            env=os.environ | {"DATABASE_URL": url, "VAR_DIR": str(settings.var_dir)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        during = answered - before
        assert migrating.returncode == 0, migrating.stderr
        assert fetch(url, "SELECT DISTINCT mood FROM message") == [("calm",)]
        # And on, with the newer schema.
        later = answered
        while answered < later + 2 and not asking.done():
            await asyncio.sleep(0.05)
        done.set()
        await asking

    assert during > 0
    # A process of the old release that starts now does not mind either.
    async with running(settings.var_dir, "app", "serve", DATABASE_URL=url) as (client, _):
        assert (await client.get("/readiness")).status_code == 200
