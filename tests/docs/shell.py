"""Runs the commands of a page, one block after the other, as somebody who follows it would."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from settings import ROOT
from tests.docs.blocks import Block
from tests.docs.running import GIVEN, THEN, of

__all__ = ["Shell", "json_keys"]

TIMEOUT_SEC = 120
# An answer that is an error fails the block; what it sets, the next block has.
PRELUDE = """
set -ea
curl() { command curl --fail-with-body --no-progress-meter "$@"; }
"""
_KEY = re.compile(r'(?<!\\)"(\w+)":')


class Shell:
    """Keeps the variables from block to block."""

    def __init__(self, address: str, environment: dict[str, str], folder: Path) -> None:
        """`address` stands for `localhost:8000`; `folder` is for what the shell itself writes."""
        self._address = address
        self._environment = environment
        self._variables = folder / "variables"

    def run(self, block: Block) -> str:
        """Run a block; return what it printed."""
        text = block.text
        for name, value in (of(GIVEN, block) or {}).items():
            text = text.replace(name, value)
        text = re.sub(r"(localhost|127\.0\.0\.1):8000", self._address, text)
        if block.language == "python":
            return self._execute([sys.executable, "-c", text], block)
        script = f"{PRELUDE}{text}\nset +a\nenv -0 > '{self._variables}'"
        printed = self._execute(["bash", "-c", script], block)
        variables = self._variables.read_text().removesuffix("\0").split("\0")
        self._environment = dict(variable.split("=", 1) for variable in variables)
        for name, key in (of(THEN, block) or {}).items():
            self._environment[name] = _field(printed, key)
        return printed

    def _execute(self, command: list[str], block: Block) -> str:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SEC,
            check=False,
        )
        assert ended.returncode == 0, f"{block}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout


def json_keys(text: str) -> set[str]:
    """Return the names of all fields in JSON, even if parts of it are left out."""
    return set(_KEY.findall(text))


def _field(printed: str, key: str) -> str:
    """Return a field of the last JSON that was printed: `id`, `ingestion.id`."""
    values: list[Any] = []
    decoder = json.JSONDecoder()
    while printed:
        value, end = decoder.raw_decode(printed)
        values.append(value)
        printed = printed[end:].lstrip()
    found = values[-1]
    for name in key.split("."):
        found = found[name]
    return str(found)
