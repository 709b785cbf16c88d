"""What ingestions did, told in the end: to people, or as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import typer

from app.cli.printing import print_json, printable

__all__ = ["Outcome"]

# What a line of a run's log says of a document.
WORDS: Final = {"info": "note", "warning": "skipped", "error": "failed"}
COUNTS: Final = (
    "listed",
    "unchanged",
    "stored",
    "deleted",
    "skipped",
    "failed",
    "passages",
    "embedded",
)


@dataclass(slots=True)
class Outcome:
    """Ingestions that have ended, and what there is to say of their documents."""

    ingestions: list[dict[str, Any]] = field(default_factory=list)
    documents: list[dict[str, str]] = field(default_factory=list)

    def note(self, level: str, path: str, message: str) -> None:
        """Keep what was said of a document."""
        self.documents.append({"path": path, "state": WORDS[level], "message": message})

    @property
    def exit_code(self) -> int:
        """1 when something has failed."""
        is_good = all(run["state"] == "succeeded" for run in self.ingestions)
        failed = any(document["state"] == "failed" for document in self.documents)
        return 0 if is_good and not failed else 1

    def report(self, *, as_json: bool) -> None:
        """Print the counts; what failed or was skipped goes to standard error."""
        for document in self.documents:
            text = printable(f"{document['path']}: {document['message']}")
            typer.echo(f"{document['state']:8} {text}", err=True)
        for run in self.ingestions:
            if run["state"] == "failed":
                typer.echo(printable(run["error"] or "The run failed."), err=True)
            elif run["state"] == "cancelled":
                typer.echo("The run was cancelled. What was stored stays.", err=True)
        if as_json:
            print_json(self._as_object())
        elif ended := [run for run in self.ingestions if run["state"] != "failed"]:
            typer.echo(summary(_sum(ended)))

    def _as_object(self) -> dict[str, object]:
        shown = [
            {name: value for name, value in run.items() if name != "account_id"}
            for run in self.ingestions
        ]
        return {"ingestions": shown, "documents": self.documents}


def summary(counts: Mapping[str, Any]) -> str:
    """Say in a line what was done."""
    # Others learn nothing of what was embedded: it tells what the knowledge base has already.
    embedded = "" if counts["embedded"] is None else f", {counts['embedded']} embedded"
    return (
        f"{counts['stored']} stored ({counts['passages']} passages{embedded}), "
        f"{counts['unchanged']} unchanged, {counts['deleted']} removed, "
        f"{counts['skipped']} skipped, {counts['failed']} failed"
    )


def _sum(runs: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    return {
        name: None if any(run[name] is None for run in runs) else sum(run[name] for run in runs)
        for name in COUNTS
    }
