"""Shells that complete commands, and help that doesn't keep anybody waiting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.accounts.models import Scope
from app.cli.commands.users import ScopeName
from settings import ROOT
from tests.cli.terminal import TAB, open_terminal

BRAG = ROOT / "brag"
HEAVY = ("settings", "httpx2", "openai", "sqlalchemy", "fastapi", "numpy")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A person's own, with `brag` in a folder of the path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "brag").symlink_to(BRAG)
    return os.environ | {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "VAR_DIR": str(tmp_path / "var"),
        "PS1": "> ",
    }


def completed(environment: dict[str, str], *lines: str) -> list[list[str]]:
    """What bash offers for the last word of each line."""
    script = """
        eval "$(brag --show-completion)"
        for line in "$@"; do
            IFS=, read -ra COMP_WORDS <<< "$line,"
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _brag_completion brag
            echo "${COMPREPLY[*]}"
        done
    """
    result = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *lines],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stderr == ""
    return [line.split() for line in result.stdout.splitlines()]


def test_bash_completes_commands_options_and_values(
    environment: dict[str, str], tmp_path: Path
) -> None:
    commands, command, option, value, subcommand, path = completed(
        environment,
        "brag,",
        "brag,stat",
        "brag,ingest,--wa",
        "brag,eval,--mode,d",
        "brag,users,p",
        "brag,ingest,do",
    )

    assert {"ask", "search", "ingest", "users"} <= set(commands)
    assert command == ["status"]
    assert option == ["--watch"]
    assert value == ["dense"]
    assert subcommand == ["promote"]
    assert path == [], "so bash offers files"
    assert not (tmp_path / "var").exists(), "it opens no database"


def test_bash_completes_what_is_typed_once_that_is_installed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with open_terminal(["bash"], environment) as terminal:
        terminal.send("brag --install-completion\n")
        terminal.expect("bash completion installed")
        terminal.send("exec bash --rcfile ~/.bashrc\n")
        terminal.send("PS1='ready> '\n")
        terminal.expect("\nready> ")
        terminal.send(f"brag stat{TAB}")
        terminal.expect("brag status ")
        terminal.send(f"--he{TAB}")
        terminal.expect("--help ")


def test_scopes_are_those_of_tokens() -> None:
    assert {one.value for one in ScopeName} == {one.value for one in Scope}


def test_neither_help_nor_completion_loads_what_commands_need() -> None:
    code = (
        "import sys\nfrom app.__main__ import cli\n"
        "cli(['users', 'create', '--help'], standalone_mode=False)\n"
        f"sys.exit(sorted(set({HEAVY!r}) & set(sys.modules)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert "Make an account" in result.stdout


def test_it_runs_from_any_folder_whatever_lies_there(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('not this one')")

    result = subprocess.run(
        ["brag", "ingest", "--help"],
        cwd=tmp_path,
        env=environment | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert "Usage: brag ingest" in result.stdout
    assert " brag ingest docs --watch " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
