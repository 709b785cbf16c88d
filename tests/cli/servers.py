"""A served bRAG, as the command line reaches it from elsewhere."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.accounts.api_tokens import create
from app.accounts.models import ALL_SCOPES, Caller, Scope
from app.accounts.schemas import NewToken
from app.core.database import Database
from app.main import create_app
from settings import ROOT, Settings
from tests.accounts.people import join
from tests.serving import serve

__all__ = ["Elsewhere", "open_elsewhere", "token_of"]


@dataclass(frozen=True)
class Elsewhere:
    """A server, and commands that are sent to it from an empty machine."""

    url: str
    var_dir: Path
    token: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Nothing but the way to the server: there is no database to fall back to."""
        token = {"BRAG_TOKEN": self.token} if self.token else {}
        return {
            "PATH": "/usr/bin:/bin",
            "VAR_DIR": str(self.var_dir),
            "BRAG_URL": self.url,
            "COLUMNS": "100",
            **token,
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """The words of a command."""
        return [sys.executable, "-m", "app", *map(str, arguments)]

    async def run(
        self, *arguments: str | Path, lines: Sequence[str] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with lines on its standard input."""

        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                self.command(*arguments),
                cwd=ROOT,
                env=self.environment | variables,
                input="".join(f"{line}\n" for line in lines),
                capture_output=True,
                text=True,
                errors="surrogateescape",
                timeout=120,
                check=False,
            )

        return await asyncio.to_thread(run)


@asynccontextmanager
async def open_elsewhere(
    settings: Settings, nowhere: Path, token: str | None = None
) -> AsyncIterator[tuple[Elsewhere, httpx2.AsyncClient]]:
    """Serve bRAG; yield commands that are sent there, and a client."""
    async with (
        serve(create_app(settings)) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield Elsewhere(url, nowhere, token), client


async def token_of(
    database: Database, settings: Settings, email: str, *scopes: Scope, role: str = "user"
) -> str:
    """Make an account and a token of it."""
    caller = Caller(join(database, email, role=role), is_admin=role == "admin", scopes=ALL_SCOPES)
    new = NewToken(name="command line", scopes=frozenset(scopes))
    return (await create(database, settings, caller, new)).token
