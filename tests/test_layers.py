"""Imports go one way, as pyproject.toml says."""

import subprocess
import sys
from pathlib import Path

from settings import ROOT


def test_imports_go_one_way() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")

    result = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout


def test_importing_bRAG_starts_nothing() -> None:  # noqa: N802 -- its name
    program = (
        "import logging, threading, app.main, app.resources;"
        "assert threading.active_count() == 1, threading.enumerate();"
        "assert not logging.getLogger().handlers"
    )

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
