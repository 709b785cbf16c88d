"""The command line, as its users run it."""

from pathlib import Path

import pytest

from settings import Settings
from tests.processes import run_app

GUIDE = """# Backups

To take a backup, run:

```sh
pg_dump brag
```
"""


@pytest.fixture
def var_dir(settings: Settings) -> Path:
    return settings.var_dir


@pytest.fixture
def url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "backups.md").write_text(GUIDE)
    (folder / "empty.md").write_text("")
    return folder


def test_ingest_then_search_then_ask(var_dir: Path, url: str, folder: Path) -> None:
    ingested = run_app(var_dir, "ingest", str(folder), DATABASE_URL=url)
    found = run_app(var_dir, "search", "how to back up", DATABASE_URL=url)
    # Whoever runs commands here is not asked for a token.
    answer = run_app(var_dir, "ask", "How do I take a backup?", DATABASE_URL=url, AUTH="required")

    assert ingested.returncode == 0, ingested.stderr
    assert ingested.stdout.startswith("1 stored (1 passages, 1 embedded), 0 unchanged")
    assert "empty.md" in ingested.stderr
    assert "backups.md > Backups" in found.stdout
    assert "pg_dump brag" in answer.stdout
    assert "[1] backups.md > Backups" in answer.stdout


def test_ingest_if_empty_leaves_a_filled_knowledge_base_alone(
    var_dir: Path, url: str, folder: Path
) -> None:
    run_app(var_dir, "ingest", str(folder), DATABASE_URL=url)
    (folder / "new.md").write_text("# New\n\nText.\n")

    second = run_app(var_dir, "ingest", str(folder), "--if-empty", DATABASE_URL=url)

    assert second.returncode == 0
    assert second.stdout == ""


def test_an_empty_knowledge_base_says_what_to_do(var_dir: Path, url: str) -> None:
    found = run_app(var_dir, "search", "anything", DATABASE_URL=url)

    assert found.returncode == 0
    assert "python -m app ingest" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (("ingest", "/does/not/exist"), {}, "/does/not/exist"),
        (("ask", ""), {}, "The question must not be empty."),
        (("serve",), {"PORT": "eighty"}, "PORT"),
        (("serve",), {"EMBEDDING_MODEL": "BAAI/bge-small-en-v1.5"}, "make prepare"),
        (("serve",), {"RERANKER_MODEL": "BAAI/bge-reranker-base"}, "make prepare"),
        (("serve",), {"VAR_DIR": "/dev/null/brag", "DATABASE_URL": ""}, "VAR_DIR"),
        (("serve",), {"HOST": "203.0.113.1"}, "HOST"),
    ],
)
def test_what_cannot_work_is_one_plain_sentence(
    var_dir: Path,
    url: str,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    words: str,
) -> None:
    result = run_app(var_dir, *arguments, **{"DATABASE_URL": url, **variables})

    assert result.returncode != 0
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_knowledge_base_of_another_model_is_refused(
    var_dir: Path, url: str, folder: Path
) -> None:
    run_app(var_dir, "ingest", str(folder), DATABASE_URL=url)

    for command in (("serve",), ("ingest", str(folder)), ("ask", "Why?")):
        result = run_app(
            var_dir, *command, DATABASE_URL=url, EMBEDDING_MODEL="BAAI/bge-small-en-v1.5"
        )

        assert result.returncode != 0
        assert "EMBEDDING_MODEL=sentence-transformers/all-MiniLM-L6-v2" in result.stderr
        assert "Traceback" not in result.stderr
