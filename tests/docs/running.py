"""How the blocks of each page are run; what isn't named here is run as it stands.

A block is named by its page and by what it begins with.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from settings import ROOT
from tests.docs.blocks import Block

__all__ = ["GIVEN", "NOT_RUN", "SERVERS", "THEN", "of"]

FOR_EVER: Final = "it would go on for ever"
BY_MAIL: Final = "what it needs comes by mail"
BY_CI: Final = "CI runs it"
HUB: Final = "the model comes from a hub"
ELSEWHERE: Final = "it is elsewhere"
OUTSIDE: Final = "it changes what is outside of the repository"
DOCKER: Final = "needs a Docker engine or a Kubernetes cluster"
BY_A_TEST: Final = "tests/test_backup.py does it"
T = TypeVar("T")

# What can't be run here, and why.
NOT_RUN: Final = {
    ("README.md", "make run-dev"): FOR_EVER,
    ("README.md", "make test"): BY_CI,
    ("CONTRIBUTING.md", "make run-dev"): BY_CI,
    ("docs/accounts.md", "curl -s localhost:8000/v1/login/verify"): BY_MAIL,
    ("docs/accounts.md", "curl -s localhost:8000/v1/tokens"): BY_MAIL,
    ("docs/accounts.md", "curl -s -X DELETE localhost:8000/v1/me"): BY_MAIL,
    ("docs/cli.md", "ln -s"): OUTSIDE,
    ("docs/cli.md", "brag --install-completion"): OUTSIDE,
    ("docs/configuration.md", "EMBEDDING_MODEL="): HUB,
    ("docs/configuration.md", "RERANKER_MODEL="): HUB,
    ("docs/configuration.md", "PORT=8001 make run-dev"): FOR_EVER,
    ("docs/deployment.md", "git clone"): OUTSIDE,
    ("docs/deployment.md", "printf"): DOCKER,
    ("docs/deployment.md", "kubectl"): DOCKER,
    ("docs/deployment.md", "pg_dump"): BY_A_TEST,
    ("docs/deployment.md", "createdb"): BY_A_TEST,
    ("docs/deployment.md", "pg_restore"): BY_A_TEST,
    ("docs/deployment.md", "PATH="): BY_A_TEST,
    ("docs/evaluation.md", ".venv/bin/python -m app eval DIR"): BY_CI,
    ("docs/ingestion.md", ".venv/bin/python -m app ingest https://"): ELSEWHERE,
    ("docs/sources.md", "DATABASE_URL=postgres://... make worker"): FOR_EVER,
}

# What stands for names that a reader replaces.
GIVEN: Final = {
    ("README.md", "./brag ingest PATH"): {"PATH": "docs"},
    ("docs/cli.md", "export BRAG_URL"): {
        "https://brag.example.org": "http://localhost:8000",
        "ingest handbook": "ingest docs",
    },
    ("docs/ingestion.md", ".venv/bin/python -m app ingest PATH"): {"PATH": "docs"},
    ("docs/sources.md", "curl -s localhost:8000/v1/sources"): {
        "https://github.com/fastapi/fastapi.git": str(ROOT),
        "docs/en/docs": "docs",
    },
    ("docs/sources.md", "curl -N -s localhost:8000/v1/ingestions/ID"): {"ID": "$ID"},
    ("docs/sources.md", "curl -s localhost:8000/v1/documents"): {
        "guide.pdf": "README.md",
        "notes.md": "CONTRIBUTING.md",
    },
}

# Fields of the last JSON that a block prints, which a reader keeps as variables.
THEN: Final = {
    ("docs/chats.md", "curl -s -X POST localhost:8000/v1/chats"): {"CHAT": "id"},
    ("docs/chats.md", "curl -s localhost:8000/v1/chats/$CHAT/messages \\\n"): {
        "ANSWER": "id",
        "QUESTION": "question_id",
    },
    ("docs/sources.md", "curl -s localhost:8000/v1/sources"): {"ID": "ingestion.id"},
}

# What the server of a page is set to.
SERVERS: Final = {
    "docs/accounts.md": {"AUTH": "required"},
    "docs/sources.md": {"INGEST_ROOTS": str(ROOT)},
}


def of(table: Mapping[tuple[str, str], T], block: Block) -> T | None:
    """Return what a table says of a block."""
    for (page, beginning), said in table.items():
        if page == block.page and block.text.startswith(beginning):
            return said
    return None
