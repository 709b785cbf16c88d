"""The example in examples/, as it is told in docs/mcp.md."""

import asyncio
import os
import sys

from app.main import create_app
from settings import ROOT, Settings
from tests.conftest import Ingest
from tests.serving import serve


async def test_the_example_searches_and_asks(settings: Settings, ingest: Ingest) -> None:
    await ingest({"ferry.md": "# Ferry\n\nThe ferry leaves at seven in the morning.\n"})
    async with serve(create_app(settings)) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            ROOT / "examples" / "mcp_client.py",
            f"{url}/mcp",
            "When does the ferry leave?",
            stdout=asyncio.subprocess.PIPE,
            env=dict(os.environ),
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)

    lines = output.decode().splitlines()
    assert process.returncode == 0
    assert lines[0] == "Tools: ask, search, list_sources, get_document"
    assert "/#/documents/" in lines[1]
    assert any("seven" in line and "[1]" in line for line in lines[2:])
