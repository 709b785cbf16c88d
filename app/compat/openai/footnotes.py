"""Citations as other programs show them: footnotes below the text, and OpenAI's annotations.

To ingest a folder, run `python -m app ingest PATH`. [1]

[1] ingestion.md > Ingestion > Folders - https://brag.example/#/documents/…?start=120&end=172
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.chat.markers import clean
from app.chat.models import Citation, SourceText
from app.core.links import document_url
from settings import Settings

__all__ = ["Footnotes", "make_footnotes", "without_footnotes"]

NOT_VERIFIED: Final = " (not verified)"
PARTLY_VERIFIED: Final = " (partly verified)"
# Two spaces break the line where Markdown is shown.
NEXT_LINE: Final = "  \n"

# More than any answer's footnotes have.
LOOKED_AT: Final = 50_000  # characters

# Possessive: whoever sends a text must not make it be tried in more than one way.
_LINE = r"\[\d++\] [^\n]++"
_FOOTNOTES = re.compile(rf"\n\n{_LINE}(?:\n{_LINE})*+\s*+\Z")
# A footnote ends with its link; what only looks like one is the answer's own.
_IS_FOOTNOTE = re.compile(r" - https?://\S+(?: \((?:not|partly) verified\))? *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Footnotes:
    """What follows an answer's text, and its verified citations in OpenAI's shape."""

    text: str
    annotations: list[dict[str, Any]]


def make_footnotes(
    settings: Settings, answer: str, sources: Sequence[SourceText], citations: Sequence[Citation]
) -> Footnotes:
    """Return an answer's footnotes, one for each passage that it cites, in their order there.

    Indices of annotations are characters of the answer, where the marker stands.
    """
    by_number = {source.number: source for source in sources}
    markers = [
        marker
        for marker in clean(answer, max(by_number, default=0))[1]
        if any(one.marker == marker.number for one in citations)
    ]
    lines = []
    annotations: list[dict[str, Any]] = []
    for number in dict.fromkeys(marker.number for marker in markers):
        cited = [one for one in citations if one.marker == number]
        places = [marker for marker in markers if marker.number == number]
        lines.append(_line(settings, by_number[number], cited))
        for marker, one in zip(places, _spread(cited, len(places)), strict=True):
            if one is not None and one.verified:
                annotation = {
                    "url": _url(settings, one),
                    "title": _heading(by_number[number]) or one.title or one.path,
                    "start_index": marker.start,
                    "end_index": marker.end,
                }
                annotations.append({"type": "url_citation", "url_citation": annotation})
    annotations.sort(key=lambda one: one["url_citation"]["start_index"])
    return Footnotes(f"\n\n{NEXT_LINE.join(lines)}" if lines else "", annotations)


def without_footnotes(text: str) -> str:
    """Return an answer as it was before its footnotes were added."""
    found = _FOOTNOTES.search(text, max(len(text) - LOOKED_AT, 0))
    if found and len(_IS_FOOTNOTE.findall(found[0])) == found[0].strip().count("\n") + 1:
        return text[: found.start()]
    return text


def _spread(cited: Sequence[Citation], count: int) -> Sequence[Citation | None]:
    """Return which citation each marker of one number stands for; None where that isn't known.

    They are told in the order in which they first stand in the answer.
    """
    if len(cited) == count:
        return cited
    if all(one.verified for one in cited):
        return [cited[0]] * count
    return [None] * count


def _line(settings: Settings, source: SourceText, cited: Sequence[Citation]) -> str:
    best = next((one for one in cited if one.verified), cited[0])
    verified = sum(one.verified for one in cited)
    remark = "" if verified == len(cited) else PARTLY_VERIFIED if verified else NOT_VERIFIED
    place = " > ".join(filter(None, (_one_line(source.path), _heading(source))))
    return f"[{source.number}] {place} - {_url(settings, best)}{remark}"


def _heading(source: SourceText) -> str:
    return " > ".join(map(_one_line, source.heading_path))


def _url(settings: Settings, citation: Citation) -> str:
    """Return where a citation can be read: at its origin, else on the page."""
    if citation.url is not None or citation.document_id is None:
        return citation.url or ""
    return document_url(settings, citation.document_id, citation.start, citation.end)


def _one_line(text: str) -> str:
    return " ".join(text.split())
