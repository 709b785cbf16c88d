"""The code blocks of README, `docs/` and the other pages for people."""

import re
from dataclasses import dataclass

from settings import ROOT

__all__ = ["PAGES", "Block", "read_blocks"]

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "examples/*.md")
    for path in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*$")


@dataclass(frozen=True)
class Block:
    """A code block, and the heading that it stands below."""

    page: str
    line: int
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(page: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    blocks: list[Block] = []
    heading = ""
    lines = iter(enumerate((ROOT / page).read_text().splitlines(), start=1))
    for number, line in lines:
        if line.startswith("#"):
            heading = line
        elif fence := _FENCE.match(line):
            inside: list[str] = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                inside.append(inner[len(fence["indent"]) :])
            blocks.append(Block(page, number, heading, fence["language"], "\n".join(inside)))
    return blocks
