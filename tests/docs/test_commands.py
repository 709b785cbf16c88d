"""What README and docs say to type is typed here, against a server that runs."""

import asyncio
import fcntl
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from settings import ROOT, Settings
from tests.conftest import MODELS_DIR
from tests.docs.blocks import PAGES, Block, read_blocks
from tests.docs.running import GIVEN, NOT_RUN, SERVERS, THEN, of
from tests.docs.shell import Shell, json_keys
from tests.processes import environment, postmaster_is_running, run_app, running

RUN = ("sh", "python")
SECRET = "a secret of the tests, 32 characters long"
# A comment on the same line.
_REMARK = re.compile(r"\s{2,}#.*")


def pages_with(*languages: str) -> list[str]:
    return [page for page in PAGES if blocks_of(page, *languages)]


def blocks_of(page: str, *languages: str) -> list[Block]:
    return [
        block
        for block in read_blocks(page)
        if block.language in languages and of(NOT_RUN, block) is None
    ]


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make run-dev` has ingested before it serves; one for all parallel workers."""
    base = tmp_path_factory.getbasetemp()
    var_dir = (base.parent if base.name.startswith("popen-") else base) / "docs-var"
    with var_dir.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not var_dir.exists():
            var_dir.mkdir()
            (var_dir / "models").symlink_to(MODELS_DIR)
            ingested = run_app(var_dir, "ingest", "docs")
            assert ingested.returncode == 0, ingested.stderr
            while postmaster_is_running(var_dir):
                time.sleep(0.05)
    return var_dir


@pytest.mark.parametrize("page", pages_with(*RUN))
async def test_what_a_page_says_to_type_works(page: str, filled: Path, tmp_path: Path) -> None:
    var_dir = tmp_path / "var"
    # Python's own copies belong to who makes them; as root, PostgreSQL is somebody else.
    await asyncio.to_thread(subprocess.check_call, ["cp", "-a", filled, var_dir])
    variables: dict[str, Any] = {"SECRET_KEY": SECRET, **SERVERS.get(page, {})}
    async with running(var_dir, "app", "serve", **variables) as (client, _):
        address = client.base_url.netloc.decode()
        own = environment(
            var_dir,
            PORT=address.rpartition(":")[2],
            # `brag` stands in the repository's root.
            PATH=f"{ROOT}{os.pathsep}{os.environ['PATH']}",
            **variables,
        )
        shell = Shell(address, own, tmp_path)

        shown: tuple[str, str] | None = None
        for block in read_blocks(page):
            if block.language in RUN:
                shown = None
                if of(NOT_RUN, block) is None:
                    shown = block.heading, await asyncio.to_thread(shell.run, block)
            elif block.language == "json" and shown is not None and shown[0] == block.heading:
                unknown = json_keys(block.text) - json_keys(shown[1])
                assert not unknown, f"{block}: {sorted(unknown)} not in {shown[1]}"


@pytest.mark.parametrize("page", pages_with("dotenv"))
def test_what_a_page_says_to_set_are_settings(page: str) -> None:
    for block in blocks_of(page, "dotenv"):
        given = dict(
            _REMARK.sub("", line).split("=", 1)
            for line in block.text.splitlines()
            if line and not line.startswith("#")
        )
        unknown = {name for name in given if name.lower() not in Settings.model_fields}
        assert not unknown, f"{block}: {unknown}"
        if given.get("SECRET_KEY") == "...":
            given["SECRET_KEY"] = SECRET
        # A wrong value raises.
        Settings(**{name.lower(): value for name, value in given.items()})  # type: ignore[arg-type]


@pytest.mark.parametrize("page", PAGES)
def test_commands_stand_in_blocks_that_are_run(page: str) -> None:
    for block in read_blocks(page):
        if re.search(r"^(curl|make|\.venv/|\./?brag|\$) ", block.text, re.MULTILINE):
            assert block.language == "sh", block


@pytest.mark.parametrize(
    "named", sorted(GIVEN.keys() | NOT_RUN.keys() | THEN.keys()), ids=lambda named: named[0]
)
def test_what_is_said_of_a_block_is_said_of_one_that_is_there(named: tuple[str, str]) -> None:
    page, beginning = named

    assert any(block.text.startswith(beginning) for block in read_blocks(page))
