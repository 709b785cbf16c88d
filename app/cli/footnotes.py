"""What an answer cites, below it: number, place, quote, whether it was verified, and a link."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from app.cli.printing import printable

__all__ = ["place", "print_footnotes", "print_sources"]

QUOTED_CHARACTERS: Final = 300
INDENT: Final = "    "

Object = Mapping[str, Any]


def print_footnotes(
    console: Console, sources: Sequence[Object], citations: Sequence[Object], page_url: str
) -> None:
    """Print each source that is cited, with every quote that was found there."""
    for source in sources:
        cited = [one for one in citations if one["marker"] == source["number"]]
        if not cited:
            continue
        console.print(Text(f"[{source['number']}] {place(source)}", "bold"), soft_wrap=True)
        # Several marks may rest on one sentence.
        for one in {(one["start"], one["end"]): one for one in cited}.values():
            for line in _citation(one, page_url):
                console.print(Text(INDENT).append_text(line), soft_wrap=True)


def print_sources(console: Console, sources: Sequence[Object]) -> None:
    """Print everything that an answer could have been made from."""
    for source in sources:
        console.print(Text(f"[{source['number']}] {place(source)}", "bold"), soft_wrap=True)
        for line in source["text"].splitlines():
            console.print(Text(INDENT + printable(line)), soft_wrap=True)


def place(passage: Object) -> str:
    """Say where a passage stands."""
    return printable(" > ".join([passage["path"], *passage["heading_path"]]))


def _citation(citation: Object, page_url: str) -> Iterator[Text]:
    verdict = ("verified", "green") if citation["verified"] else ("not verified", "yellow")
    quote = printable(" ".join((citation["quote"] or "").split()))
    if len(quote) > QUOTED_CHARACTERS:
        quote = f"{quote[:QUOTED_CHARACTERS]}…"
    # It is gone when the document was changed meanwhile.
    yield Text.assemble(f"“{quote}” " if quote else "", "(", verdict, ")")
    if link := _link(citation, page_url):
        yield Text(link, "dim")


def _link(citation: Object, page_url: str) -> str | None:
    if citation["url"]:
        return printable(citation["url"])
    if citation["document_id"] is None:
        return None
    return (
        f"{page_url}/#/documents/{citation['document_id']}"
        f"?start={citation['start']}&end={citation['end']}"
    )
