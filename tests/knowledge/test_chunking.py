"""How a document becomes passages: exact offsets, true heading paths, nothing lost."""

import random
import re

import pytest

from app.knowledge.chunking import (
    MAX_CHARACTERS,
    MAX_HEADING_CHARACTERS,
    Passage,
    split,
    title_of,
)
from app.knowledge.model_files import DEFAULT_MODEL, require_model
from app.knowledge.tokens import TokenCounter
from tests.conftest import MODELS_DIR

SENTENCE = "The follower applies the changes to the index in order and remembers its position. "
PARAGRAPH = SENTENCE * 4
CODE = "".join(f"value_{number} = compute({number})\n" for number in range(200))


@pytest.fixture(scope="module")
def tokens() -> TokenCounter:
    """The default model's tokenizer."""
    return TokenCounter.load(DEFAULT_MODEL, require_model(DEFAULT_MODEL, MODELS_DIR))


def cut(
    text: str,
    max_characters: int = MAX_CHARACTERS,
    *,
    markdown: bool = True,
    tokens: TokenCounter | None = None,
    title: str | None = None,
) -> list[Passage]:
    """Split, and check what must hold for every document."""
    passages = split(
        text, max_characters=max_characters, markdown=markdown, tokens=tokens, title=title
    )
    if tokens:
        counts = tokens.count([passage.embedded_text for passage in passages])
        assert max(counts, default=0) <= tokens.max_tokens
    position = 0
    for passage in passages:
        assert passage.start >= position
        assert text[passage.start : passage.end] == passage.text
        assert passage.text.strip()
        assert len(passage.text) <= max_characters
        position = passage.end
    return passages


def left_out(text: str, passages: list[Passage]) -> str:
    """What no passage covers, without white space around it."""
    edges = [0, *(edge for passage in passages for edge in (passage.start, passage.end)), len(text)]
    gaps = [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return "".join(gap.strip() for gap in gaps)


def paths(passages: list[Passage]) -> list[tuple[str, ...]]:
    return [passage.heading_path for passage in passages]


# Sections and their headings


def test_each_section_is_a_passage_that_knows_the_headings_above_it() -> None:
    text = f"# Guide\n\n{PARAGRAPH}\n\n## Install\n\n{PARAGRAPH}\n\n### Docker\n\n{PARAGRAPH}\n"

    passages = cut(text)

    assert paths(passages) == [
        ("Guide",),
        ("Guide", "Install"),
        ("Guide", "Install", "Docker"),
    ]
    assert passages[1].text.startswith("## Install\n\nThe follower")


def test_a_heading_closes_the_deeper_ones_before_it() -> None:
    text = "".join(
        f"{'#' * level} {name}\n\n{PARAGRAPH}\n\n"
        for level, name in [(1, "A"), (2, "B"), (3, "C"), (2, "D"), (4, "E"), (3, "F"), (1, "G")]
    )

    assert paths(cut(text)) == [
        ("A",),
        ("A", "B"),
        ("A", "B", "C"),
        ("A", "D"),
        ("A", "D", "E"),
        ("A", "D", "F"),
        ("G",),
    ]


def test_six_levels_of_headings_are_kept() -> None:
    text = "".join(f"{'#' * level} Level {level}\n\n{PARAGRAPH}\n\n" for level in range(1, 7))

    assert cut(text)[-1].heading_path == tuple(f"Level {level}" for level in range(1, 7))


def test_setext_headings_count_like_hash_headings() -> None:
    text = f"Guide\n=====\n\n{PARAGRAPH}\n\nInstall\n-------\n\n{PARAGRAPH}\n"

    passages = cut(text)

    assert paths(passages) == [("Guide",), ("Guide", "Install")]
    assert passages[1].text.startswith("Install\n-------\n\n")


@pytest.mark.parametrize(
    "block",
    [
        "```bash\n# not a heading\nmake run\n```",
        "~~~~\n# not a heading\n~~~~",
        "    # not a heading",
        "> # not a heading",
        "- # not a heading",
        "<div>\n# not a heading\n</div>",
    ],
    ids=["fence", "tildes", "indented code", "quotation", "list", "HTML"],
)
def test_what_looks_like_a_heading_inside_a_block_starts_no_section(block: str) -> None:
    text = f"# Guide\n\n{PARAGRAPH}\n\n{block}\n\n{SENTENCE}\n"

    [passage] = cut(text)

    assert passage.heading_path == ("Guide",)
    assert "not a heading" in passage.text


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("**Bold** and `code`", "Bold and code"),
        ("The [`/ask`](https://example.com/a_b_c) route", "The /ask route"),
        ("Install { #install }", "Install"),
        ("Install {#install .wide}", "Install"),
        ("A {placeholder}", "A {placeholder}"),
        ("AT&amp;T \\*literally\\*", "AT&T *literally*"),
        ("<a id='x'></a>Methods", "Methods"),
        ("Closed ##", "Closed"),
        ("![Logo](logo.svg) Start", "Logo Start"),
    ],
)
def test_a_heading_path_holds_words_without_markup(markup: str, words: str) -> None:
    assert paths(cut(f"## {markup}\n\n{PARAGRAPH}")) == [(words,)]


def test_an_empty_heading_ends_the_section_before_it_without_a_name() -> None:
    text = f"# A\n\n## B\n\n{PARAGRAPH}\n\n##\n\n{PARAGRAPH}\n"

    assert paths(cut(text)) == [("A", "B"), ("A",)]


def test_the_heading_path_goes_into_the_vectors_before_the_text() -> None:
    passage = Passage(5, 9, "text", ("Install", "With Docker"))

    assert passage.embedded_text == "Install > With Docker\n\ntext"
    assert Passage(0, 4, "text", ()).embedded_text == "text"


# Sections of the wrong size


def test_a_heading_without_text_stays_with_what_follows() -> None:
    text = f"# Guide\n\n## Install\n\n### Docker\n\n{PARAGRAPH}\n"

    [passage] = cut(text)

    assert passage.text == text.strip()
    assert passage.heading_path == ("Guide", "Install", "Docker")


@pytest.mark.parametrize(
    "body",
    [SENTENCE * 30, SENTENCE.replace(" ", "_") * 30, f"```python\n{CODE}```"],
    ids=["paragraph", "one word", "code fence"],
)
def test_a_heading_stays_with_the_start_of_a_long_text(body: str) -> None:
    passages = cut(f"# Guide\n\n## Install\n\n{body}")

    assert passages[0].text.startswith("# Guide\n\n## Install\n\n" + body[:100])
    assert len(passages) > 2
    assert set(paths(passages)) == {("Guide", "Install")}


def test_many_headings_stay_with_the_start_of_a_long_text() -> None:
    headings = "".join(f"{'#' * level} {'Heading ' * 4}{level}\n\n" for level in range(1, 5))

    passages = cut(headings + SENTENCE.replace(" ", "_") * 30)

    assert passages[0].text.startswith(headings + "The_follower")


@pytest.mark.parametrize("body", [PARAGRAPH, SENTENCE * 30], ids=["short", "long"])
def test_a_last_heading_without_text_stays_with_what_precedes(body: str) -> None:
    passages = cut(f"# Guide\n\n{body.strip()}\n\n## See also\n")

    assert passages[-1].text.endswith(SENTENCE.strip() + "\n\n## See also")
    assert set(paths(passages)) == {("Guide",)}


@pytest.mark.parametrize("body", [SENTENCE, SENTENCE * 30], ids=["short", "long"])
def test_a_logo_above_the_title_stays_with_the_title(body: str) -> None:
    passages = cut(f"<img src='logo.svg'>\n\n# Guide\n\n{body}")

    assert passages[0].text.startswith("<img src='logo.svg'>\n\n# Guide\n\nThe follower")
    assert set(paths(passages)) == {("Guide",)}


def test_headings_alone_are_one_passage() -> None:
    [passage] = cut("# Guide\n\n## Install\n")

    assert passage.text == "# Guide\n\n## Install"
    assert passage.heading_path == ("Guide",)


def test_tiny_sections_are_joined_under_their_common_heading() -> None:
    text = f"# Calls\n\n{PARAGRAPH}\n\n## `get`\n\nReads.\n\n## `put`\n\nWrites.\n\n{PARAGRAPH}\n"

    passages = cut(text)

    assert paths(passages) == [("Calls",), ("Calls",)]
    assert passages[1].text.startswith("## `get`\n\nReads.\n\n## `put`\n\nWrites.")


def test_a_tiny_section_is_not_joined_to_another_chapter() -> None:
    text = (
        f"# A\n\n{PARAGRAPH}\n\n## B\n\nShort.\n\n"
        f"# C\n\nShort.\n\n## D\n\nShort.\n\n"
        f"# E\n\n{PARAGRAPH}\n"
    )

    assert paths(cut(text)) == [("A",), ("A", "B"), ("C",), ("E",)]


def test_a_tiny_section_is_not_joined_to_one_that_is_long_already() -> None:
    text = f"# A\n\nShort.\n\n## B\n\n{SENTENCE * 20}\n"

    passages = cut(text)

    assert passages[0].text == "# A\n\nShort."
    assert set(paths(passages[1:])) == {("A", "B")}


def test_a_long_section_is_cut_between_its_paragraphs() -> None:
    text = "# Guide\n\n" + "\n\n".join(f"Paragraph {number}. {PARAGRAPH}" for number in range(9))

    passages = cut(text)

    assert len(passages) > 3
    assert all(passage.text.startswith("Paragraph ") for passage in passages[1:])
    assert all(passage.text.endswith("position.") for passage in passages)


def test_a_long_list_is_cut_between_its_items() -> None:
    text = "# Guide\n\n" + f"- One item,\n  {SENTENCE}\n  {SENTENCE}\n" * 20

    passages = cut(text)

    assert len(passages) > 3
    assert all(passage.text.startswith("- One item,") for passage in passages[1:])


def test_a_passage_and_its_heading_path_fit_the_limit_together() -> None:
    headings = "".join(f"{'#' * level} {'Heading ' * 5}{level}\n\n" for level in range(1, 5))

    passages = cut(headings + SENTENCE * 50)

    assert max(len(passage.embedded_text) for passage in passages) <= MAX_CHARACTERS


def test_a_heading_as_long_as_a_book_is_cut_and_shortened_in_the_path() -> None:
    text = f"# {SENTENCE * 1000}\n\n{PARAGRAPH}"

    passages = cut(text)

    [[heading]] = set(paths(passages))
    assert len(heading) <= MAX_HEADING_CHARACTERS
    assert heading.endswith("…")
    assert left_out(text, passages) == ""


@pytest.mark.parametrize("lines", range(30, 60))
def test_code_longer_than_the_limit_is_cut_between_lines_without_scraps(lines: int) -> None:
    code = "".join(f"value_{number} = compute({number})\n" for number in range(lines))
    text = f"# Guide\n\n{PARAGRAPH}\n\n```python\n{code}```\n"

    passages = cut(text)

    assert left_out(text, passages) == ""
    assert any(passage.text.startswith("```python\nvalue_0 = ") for passage in passages)
    assert all(passage.text.endswith((")", "```", "position.")) for passage in passages)
    assert min(len(passage.text) for passage in passages) > 60


def test_a_table_that_fits_is_kept_whole() -> None:
    table = "| setting | default |\n| --- | --- |\n" + "".join(
        f"| `SETTING_{number}` | {number} |\n" for number in range(20)
    )
    text = f"# Settings\n\n{PARAGRAPH}{PARAGRAPH}\n\n{table}\n{PARAGRAPH}{PARAGRAPH}"

    passages = cut(text)

    assert len(passages) > 1
    assert any(table.strip() in passage.text for passage in passages)


# Code and tables


def fence(lines: int) -> str:
    return "```python\n" + CODE[: 25 * lines].rpartition("\n")[0] + "\n```"


def table(rows: int) -> str:
    return "| setting | default |\n| --- | --- |\n" + "\n".join(
        f"| `SETTING_{number:03}` | {number:03} |" for number in range(rows)
    )


@pytest.mark.parametrize("before", [30, 100, 300, 800, 2000])
@pytest.mark.parametrize(
    "block", [fence(12), fence(31), fence(34), table(10), table(28), table(31)]
)
def test_code_and_tables_that_fit_are_kept_whole(block: str, before: int) -> None:
    assert len(block) < MAX_CHARACTERS - 50
    text = f"# Guide\n\n{(SENTENCE * 30)[:before]}\n\n{block}\n\n{PARAGRAPH}"

    passages = cut(text)

    assert any(block in passage.text for passage in passages)


def test_code_in_a_list_is_kept_whole() -> None:
    code = "\n".join(f"    {line}" for line in fence(28).splitlines())
    text = f"# Guide\n\n1.  {PARAGRAPH}\n\n{code}\n\n2.  {PARAGRAPH}"

    assert any(code.strip() in passage.text for passage in cut(text))


def test_code_is_kept_whole_where_only_its_surroundings_have_too_many_tokens(
    tokens: TokenCounter,
) -> None:
    block = f"```\n{SENTENCE * 6}\n```"
    text = f"# 案内\n\n{'漢字仮名交じり文です。' * 20}\n\n{block}\n\n{'漢字です。' * 10}"

    passages = cut(text, tokens=tokens)

    assert any(block in passage.text for passage in passages)
    assert left_out(text, passages) == ""


@pytest.mark.parametrize("max_characters", [300, MAX_CHARACTERS])
def test_code_of_many_pages_is_cut_at_line_ends(max_characters: int, tokens: TokenCounter) -> None:
    code = "".join(
        f"# Step {number}. Then - see below - go on\n- value_{number} = (compute({number}), 1)\n"
        for number in range(600)
    )
    text = f"# Guide\n\n```text\n{code}```\n"

    passages = cut(text, max_characters, tokens=tokens)

    assert left_out(text, passages) == ""
    assert all(text[passage.start - 1] == "\n" for passage in passages[1:])
    assert all(text[passage.end] == "\n" for passage in passages[:-1])


def test_a_table_of_many_pages_is_cut_between_rows(tokens: TokenCounter) -> None:
    text = f"# Settings\n\n{table(900)}\n"

    passages = cut(text, tokens=tokens)

    assert len(passages) > 20
    assert all(passage.text.startswith("| `SETTING_") for passage in passages[1:])
    assert all(passage.text.endswith(" |") for passage in passages)


# What the model reads


def test_prose_of_full_length_has_no_more_tokens_than_the_model_reads(tokens: TokenCounter) -> None:
    text = f"# Guide\n\n{SENTENCE * 100}"

    assert cut(text, tokens=tokens) == cut(text)


@pytest.mark.parametrize("markdown", [True, False])
@pytest.mark.parametrize(
    "words",
    [
        "漢字仮名交じり文です。",
        "한국어 문장입니다. ",
        "ALL CAPITALS SHOUTED, WITH XYLOPHONES. ",
        "dGhpcyBp+cyBi/YXNl= ",
        "0123456789abcdef",
        "e\u0301\u0323\u0308😀👨‍👩‍👧‍👦",
        "x=[{(<%$#@!>)}];",
    ],
    ids=["Chinese", "Korean", "capitals", "base64", "hex", "marks", "signs"],
)
def test_no_passage_is_longer_than_the_model_reads(
    words: str, markdown: bool, tokens: TokenCounter
) -> None:
    text = words * (30_000 // len(words))

    passages = cut(text, markdown=markdown, tokens=tokens)

    assert left_out(text, passages) == ""
    [total] = tokens.count([text])
    needed = max(total / tokens.max_tokens, len(text) / MAX_CHARACTERS)
    assert len(passages) < 1.7 * needed + 1


def test_a_heading_path_of_too_many_tokens_keeps_its_innermost_headings(
    tokens: TokenCounter,
) -> None:
    headings = "".join(f"{'#' * level} {'見出し' * 20}{level}\n\n" for level in range(1, 7))
    text = headings + "漢字です。" * 300

    passages = cut(text, tokens=tokens)

    assert left_out(text, passages) == ""
    assert {path[-1] for path in paths(passages)} == {"見出し" * 20 + "6"}


def test_a_single_heading_of_too_many_tokens_is_shortened(tokens: TokenCounter) -> None:
    text = f"# {'한국어 ' * 30}\n\n{'漢字です。' * 300}"

    passages = cut(text, tokens=tokens)

    assert {heading[-1] for (heading,) in paths(passages)} == {"…"}
    assert min(len(heading) for (heading,) in paths(passages)) > 20


def test_a_document_of_a_megabyte_on_one_line_is_cut_to_tokens(tokens: TokenCounter) -> None:
    text = "漢" * 300_000

    passages = cut(text, tokens=tokens)

    assert left_out(text, passages) == ""
    assert len(passages) < 1.7 * len(text) / tokens.max_tokens


# Titles from outside


def test_a_title_from_outside_stands_above_all_headings() -> None:
    text = f"{PARAGRAPH}\n\n# Install\n\n{PARAGRAPH}\n\n## Docker\n\n{PARAGRAPH}"

    assert paths(cut(text, title="Handbook")) == [
        ("Handbook",),
        ("Handbook", "Install"),
        ("Handbook", "Install", "Docker"),
    ]


@pytest.mark.parametrize("title", ["Install", " install ", "Install | bRAG", "bRAG – Install"])
def test_a_title_that_the_text_has_as_its_heading_is_not_repeated(title: str) -> None:
    text = f"# Install\n\n{PARAGRAPH}\n\n## Docker\n\n{PARAGRAPH}"

    assert paths(cut(text, title=title)) == [("Install",), ("Install", "Docker")]


def test_a_title_from_outside_takes_the_place_of_the_front_matter_title() -> None:
    text = f"---\ntitle: Set up\n---\n{PARAGRAPH}\n"

    assert paths(cut(text, title="Handbook")) == [("Handbook",)]


def test_a_plain_text_has_its_title_as_heading() -> None:
    assert set(paths(cut(PARAGRAPH * 9, title="Notes", markdown=False))) == {("Notes",)}


@pytest.mark.parametrize("title", [None, "", " \n"])
def test_a_blank_title_is_none(title: str | None) -> None:
    assert paths(cut(PARAGRAPH, title=title)) == [()]


def test_a_title_as_long_as_a_book_is_shortened() -> None:
    [[title]] = paths(cut(PARAGRAPH, title=SENTENCE * 100))
    assert len(title) <= MAX_HEADING_CHARACTERS


# Front matter and MDX


def test_front_matter_is_not_a_passage_and_its_title_heads_a_page_without_one() -> None:
    front_matter = '---\ntitle: "Set up"\ntags:\n  - a\n- b\n# comment\n\nx: 1\n---\n'
    text = f"{front_matter}{PARAGRAPH}\n\n## Install\n\n{PARAGRAPH}\n"

    passages = cut(text)

    assert paths(passages) == [("Set up",), ("Set up", "Install")]
    assert left_out(text, passages) == front_matter.strip()


def test_a_first_heading_takes_the_place_of_the_front_matter_title() -> None:
    text = f"---\ntitle: Set up\n---\n\n# Setting up bRAG\n\n{PARAGRAPH}\n"

    assert paths(cut(text)) == [("Setting up bRAG",)]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("text", ["---\ntitle: Set up\n---\n", "---\ntitle: Set up\n---", ""])
def test_a_document_of_front_matter_only_has_no_passages(text: str, newline: str) -> None:
    assert cut(text.replace("\n", newline)) == []


@pytest.mark.parametrize(
    "opening",
    [
        "---\ntitle: Set up\n",
        "---\n",
        f"---\n{SENTENCE}\n\n---\n",
        f"---\nNote: this is prose.\n\n{SENTENCE}\n\n---\n",
    ],
    ids=["not closed", "a rule", "prose between rules", "prose with a colon between rules"],
)
def test_what_only_begins_like_front_matter_is_kept(opening: str) -> None:
    text = f"{opening}\n# Guide\n\n{PARAGRAPH}\n"

    passages = cut(text)

    assert left_out(text, passages) == ""
    assert passages[-1].heading_path == ("Guide",)


# Texts of every kind


@pytest.mark.parametrize("markdown", [True, False])
@pytest.mark.parametrize("text", ["", "\n", " \t\r\n\n", "\x1c\u2003\u00a0\n"])
def test_an_empty_document_has_no_passages(text: str, markdown: bool) -> None:
    assert cut(text, markdown=markdown) == []


def test_a_document_without_headings_has_an_empty_heading_path() -> None:
    text = "\n\n".join([PARAGRAPH] * 5)

    passages = cut(text)

    assert set(paths(passages)) == {()}
    assert left_out(text, passages) == ""


def test_plain_text_has_no_headings_and_no_front_matter() -> None:
    text = f"---\ntitle: x\n---\n# A shell comment\n\n{PARAGRAPH}"

    passages = cut(text, markdown=False)

    assert set(paths(passages)) == {()}
    assert left_out(text, passages) == ""


def test_plain_text_is_cut_at_blank_lines() -> None:
    text = "\n\n".join([PARAGRAPH.strip()] * 6)

    assert {len(passage.text) % (len(PARAGRAPH) + 1) for passage in cut(text, markdown=False)} == {
        len(PARAGRAPH) * 2 % (len(PARAGRAPH) + 1)
    }


@pytest.mark.parametrize("newline", ["\r\n", "\r"], ids=["CRLF", "CR"])
def test_other_line_endings_change_nothing_but_offsets(newline: str) -> None:
    text = f"# Guide\n\n{PARAGRAPH}\n\nInstall\n---\n\n{SENTENCE * 20}\n\n```\n# no\n```\n"

    expected = cut(text)
    passages = cut(text.replace("\n", newline))

    assert set(paths(passages)) == {("Guide",), ("Guide", "Install")}
    assert [p.text.replace(newline, "\n")[:60] for p in passages][:2] == [
        p.text[:60] for p in expected
    ][:2]


@pytest.mark.parametrize(
    "words",
    [
        "Grüße aus Köln 😀🏳️‍🌈 👨‍👩‍👧‍👦 über alles. ",
        "שלום עולם، مرحبا بالعالم. ",
        "e\u0301a\u0308\u0323 o\u0302\u0301 combining marks. ",
        "漢字仮名交じり文です。",
        "zero\u200bwidth\u00adsoft\u2028line ",
    ],
    ids=["emoji", "right to left", "combining", "no spaces", "invisible"],
)
def test_offsets_count_characters_in_every_script(words: str) -> None:
    text = f"# {words}\n\n{words * 3}\n\n## {words}\n\n{words * 200}"

    passages = cut(text)

    assert len(passages) > 2
    assert left_out(text, passages) == ""
    assert cut(text, markdown=False)


@pytest.mark.parametrize("markdown", [True, False])
@pytest.mark.parametrize("unit", ["a", "lorem ipsum ", "😀"])
def test_one_line_of_megabytes_is_cut_into_full_passages(unit: str, markdown: bool) -> None:
    text = unit * (5_000_000 // len(unit))

    passages = cut(text, markdown=markdown)

    assert left_out(text, passages) == ""
    assert min(len(passage.text) for passage in passages[:-1]) > MAX_CHARACTERS * 0.8


@pytest.mark.parametrize("markdown", [True, False])
def test_a_long_line_is_cut_between_words(markdown: bool) -> None:
    text = " ".join("x" * 300 + str(number) for number in range(1000))

    words = [word for passage in cut(text, markdown=markdown) for word in passage.text.split()]

    assert words == text.split()


@pytest.mark.parametrize("max_characters", [1, 2, 10, 80])
def test_any_limit_holds(max_characters: int) -> None:
    text = f"# Guide\n\n{PARAGRAPH}\n\n## 漢字\n\n- a\n- b\n\n```\n{CODE[:300]}```\n\n## End"

    assert left_out(text, cut(text, max_characters)) == ""


BLOCKS = [
    SENTENCE,
    PARAGRAPH,
    SENTENCE * 20,
    "Short.",
    "# One",
    "## Two `code`",
    "### Three",
    "#### Four",
    "#",
    "Setext\n===",
    "Setext\n---",
    "---",
    "- item\n- item\n  - # nested\n\n    text",
    "> quoted\n> # no heading",
    f"```python\n{CODE}```",
    "~~~\n# comment\n\n## comment",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "<Tabs>\n  <Tab title='é'>\n\n## Inside\n\n  </Tab>\n</Tabs>",
    "<!-- comment\n\n# hidden -->",
    "😀 e\u0301 שלום 漢字 " * 40,
    "   \t ",
    "[ref]: https://example.com\n[ref]",
    "title: no front matter",
    "x" * 3000,
]


@pytest.mark.parametrize("seed", range(100))
def test_every_character_of_a_generated_document_is_in_exactly_one_passage(
    seed: int, tokens: TokenCounter
) -> None:
    chance = random.Random(seed)
    newline = chance.choice(["\n", "\n", "\r\n"])
    blocks = chance.choices(BLOCKS, k=chance.randint(1, 40))
    gaps = chance.choices(["\n\n", "\n", "\n\n\n\n"], k=len(blocks))
    body = "".join(block + gap for block, gap in zip(blocks, gaps, strict=True))
    front_matter = chance.choice(["", "", '---\ntitle: "Page"\n---\n'])
    text = (front_matter + body).replace("\n", newline)

    passages = cut(
        text,
        chance.choice([100, 400, MAX_CHARACTERS, 4 * MAX_CHARACTERS]),
        tokens=chance.choice([None, tokens]),
    )

    assert left_out(text, passages) == front_matter.replace("\n", newline).strip()


def test_a_heading_begins_a_passage_or_follows_only_headings_or_tiny_sections() -> None:
    chance = random.Random(1)
    text = "\n\n".join(
        f"{'#' * chance.randint(1, 3)} H{number}\n\n{SENTENCE * chance.randint(2, 20)}"
        for number in range(200)
    )

    for passage in cut(text):
        headings = re.findall(r"^#+ (H\d+)$", passage.text, re.MULTILINE)
        assert headings in ([], [passage.heading_path[-1]])


# What a document is called


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('---\ntitle: "Set up"\n---\n# Other', "Set up"),
        ("---\r\ntitle: Set up  # yes\r\n---\r\n", "Set up"),
        ("---\ntitle: 'Set up: now'\n---\n", "Set up: now"),
        ('---\ntitle: "Say \\"hello\\""\n---\n', 'Say "hello"'),
        ("---\ndescription: x\n---\n# First\n## Second", "First"),
        ("---\ntitle:\n---\n# First", "First"),
        ("---\ntitle: >\n  folded\n---\n# First", "First"),
        ("---\nmeta:\n  title: Nested\n---\n# First", "First"),
        ("```\n# no\n```\n\nSome text\n\n## **First** { #first }\n# Second", "First"),
        ("#\n\n# First", "First"),
        ("No heading.", "Getting started"),
        ("", "Getting started"),
    ],
)
def test_a_document_is_named_after_its_front_matter_heading_or_file(text: str, title: str) -> None:
    assert title_of(text, "docs/getting-started.md") == title


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("docs/how_to--scale.md", "How to scale"),
        ("docs/install/index.mdx", "Install"),
        ("docs/install/README.md", "Install"),
        ("README.md", "README"),
        ("FAQ.txt", "FAQ"),
        ("v1.2.md", "V1.2"),
        ("-.md", "-.md"),
        ("größe.md", "Größe"),
    ],
)
def test_a_file_name_is_made_readable(path: str, title: str) -> None:
    assert title_of("No heading.", path) == title


def test_the_comments_of_a_plain_text_file_are_not_its_title() -> None:
    assert title_of("# a comment\n", "deploy-notes.txt", markdown=False) == "Deploy notes"


def test_a_title_is_never_longer_than_a_heading_may_be() -> None:
    assert len(title_of(f"# {SENTENCE * 100}", "a.md")) <= MAX_HEADING_CHARACTERS
    assert len(title_of(f"---\ntitle: {SENTENCE * 100}\n---\n", "a.md")) <= MAX_HEADING_CHARACTERS
