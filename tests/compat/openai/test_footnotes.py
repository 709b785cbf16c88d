"""Footnotes below an answer, and the answer without them."""

import time
from uuid import uuid4

import pytest

from app.chat.models import Citation, SourceText
from app.compat.openai.footnotes import make_footnotes, without_footnotes
from settings import Settings

SETTINGS = Settings(public_url="https://brag.example")
DOCUMENT = uuid4()


def source(number: int, path: str, *heading: str) -> SourceText:
    return SourceText(
        number=number,
        document_id=DOCUMENT,
        chunk_id=uuid4(),
        path=path,
        title="A title",
        heading_path=list(heading),
        start=0,
        end=100,
        score=1,
        text="text",
    )


def citation(marker: int, start: int, *, verified: bool = True, url: str | None = None) -> Citation:
    return Citation(
        marker=marker,
        document_id=DOCUMENT,
        chunk_id=None,
        source=None,
        path="a.md",
        title="A title",
        url=url,
        start=start,
        end=start + 5,
        verified=verified,
        score=1,
        quote="quote",
    )


SOURCES = [source(1, "a.md", "Top", "Line\nbreak"), source(2, "b.md"), source(3, "c.md")]
LINK = f"https://brag.example/#/documents/{DOCUMENT}"


def test_each_passage_that_is_cited_has_one_line_in_its_order() -> None:
    origin = "https://forge.example/b.md#L7"
    citations = [citation(2, 5, url=origin), citation(1, 8), citation(2, 20, verified=False)]

    notes = make_footnotes(SETTINGS, "It. [2] Is. [1] So. [2]", SOURCES, citations)

    assert notes.text == (
        f"\n\n[2] b.md - {origin} (partly verified)"
        f"  \n[1] a.md > Top > Line break - {LINK}?start=8&end=13"
    )
    cited = [note["url_citation"] for note in notes.annotations]
    assert [(one["start_index"], one["url"], one["title"]) for one in cited] == [
        (4, origin, "A title"),
        (12, f"{LINK}?start=8&end=13", "Top > Line break"),
    ]


def test_what_is_not_verified_is_marked_and_no_annotation() -> None:
    notes = make_footnotes(SETTINGS, "It is. [3]", SOURCES, [citation(3, 1, verified=False)])

    assert notes.text == f"\n\n[3] c.md - {LINK}?start=1&end=6 (not verified)"
    assert notes.annotations == []


def test_where_it_is_not_known_which_mark_is_verified_none_is_annotated() -> None:
    both = [citation(1, 1), citation(1, 9, verified=False)]

    assert make_footnotes(SETTINGS, "A. [1] B. [1] C. [1]", SOURCES, both).annotations == []
    alike = make_footnotes(SETTINGS, "A. [1] B. [1]", SOURCES, both[:1])
    assert [note["url_citation"]["start_index"] for note in alike.annotations] == [3, 10]


def test_an_answer_without_citations_has_no_footnotes() -> None:
    assert make_footnotes(SETTINGS, "Nothing.", SOURCES, []).text == ""
    assert make_footnotes(SETTINGS, "Code `a[1]`.", [], []).text == ""


@pytest.mark.parametrize("count", [1, 2])
def test_footnotes_come_off_again(count: int) -> None:
    answer = "It. [1]\n\nIs. [2]"
    citations = [citation(1, 1, verified=False), citation(2, 2)][:count]

    noted = answer + make_footnotes(SETTINGS, answer, SOURCES, citations).text

    assert noted != answer
    assert without_footnotes(noted) == without_footnotes(f"{noted}\n") == answer


@pytest.mark.parametrize("text", ["", "It.", "It.\n\n[1] is a mark", "A\n\n[1] b - http://x\n\nC"])
def test_what_is_no_footnote_stays(text: str) -> None:
    assert without_footnotes(text) == text


@pytest.mark.parametrize(
    "part", [" ", " \n", "\n[1] a ", "\n\n[1] a ", "\n\n[1", " - http://a ", "\n\n[1] a - http://a"]
)
def test_a_text_that_almost_ends_with_footnotes_is_read_once(part: str) -> None:
    many = 400_000 // len(part)
    # Also near the end, where alone it is looked for.
    text = f"It.\n\n[1] a{part * many}\n\n[1] a{part * (many // 10)}\n x"
    started = time.process_time()

    assert without_footnotes(text) == text
    # Of a processor's time, of which it needs a hundredth; tried in many ways, it needs minutes.
    assert time.process_time() - started < 5
