"""Collections small enough to know the right numbers by heart."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["ANIMALS", "lines", "write_animals", "write_collection"]

ANIMALS = {
    "ducks": "Ducks swim on ponds. Their feathers repel water.",
    "bats": "Bats hunt insects at night. They find them by echo.",
    "camels": "Camels store fat in their humps and cross deserts.",
}


def lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as JSON lines."""
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def write_collection(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a collection's files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def write_animals(folder: Path) -> Path:
    """Write a collection in which each question has words of its document alone."""
    return write_collection(
        folder,
        {
            "corpus.jsonl": lines(
                {"id": name, "title": name.title(), "text": text} for name, text in ANIMALS.items()
            ),
            "queries.jsonl": lines(
                [
                    {"id": "1", "text": "Which animals have feathers that repel water?"},
                    {"id": "2", "text": "What do bats hunt at night?"},
                    {"id": "unjudged", "text": "What is in the humps?"},
                ]
            ),
            "qrels.tsv": "query-id\tcorpus-id\tscore\n1\tducks\t1\n2\tbats\t1\n2\tcamels\t1\n",
            "spans.jsonl": lines(
                [{"id": "1", "doc": "ducks", "quotes": ["Their feathers repel water."]}]
            ),
            "unanswerable.jsonl": lines([{"id": "x", "text": "Who won the chess match in 1972?"}]),
        },
    )
