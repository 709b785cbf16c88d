import pytest

from app.chat.sentences import Kind, read_sentences, split_sentences


def texts(markdown: str) -> list[str]:
    return [sentence.text for sentence in read_sentences(markdown)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("A line\nbreak inside. Next.", ["A line break inside.", "Next."]),
        ("See `a.b. C`. Then go.", ["See `a.b. C`.", "Then go."]),
        ("First. `code` begins this one.", ["First.", "`code` begins this one."]),
        ("Use a tool, e.g. Docker. It runs.", ["Use a tool, e.g. Docker.", "It runs."]),
        ("Dr. J. K. Smith vs. Jones, i.e. Two people.", None),
        ("The U.S. Army came on Feb. 7 at 5 p.m. sharp.", None),
        ("Ask for No. 5 or Fig. 3.", None),
        ("Python 3.11.2 reads pyproject.toml at https://a.example/b?c=d.e quickly.", None),
        ("It paused... and went on.", None),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("(In brackets.) Outside.", ["(In brackets.)", "Outside."]),
        ("**Bold.** Plain.", ["**Bold.**", "Plain."]),
        ("你好。请运行命令！好吗？", ["你好。", "请运行命令！", "好吗？"]),
        ("「引用。」次です。", ["「引用。」", "次です。"]),
        ("यह एक वाक्य है। यह दूसरा है।", ["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("هل هذا سؤال؟ نعم.", ["هل هذا سؤال؟", "نعم."]),
        ("", []),
        (" -- \n ... ", []),
    ],
)
def test_prose_is_split_at_the_ends_of_its_sentences(
    text: str, sentences: list[str] | None
) -> None:
    assert split_sentences(text) == (sentences or ([text] if sentences is None else []))


def test_long_lines_without_an_end_are_taken_one_by_one() -> None:
    lines = [f"Name {n}: a value without a full stop" for n in range(20)]
    assert texts("\n".join(lines)) == lines


def test_blank_lines_headings_and_rules_separate_paragraphs() -> None:
    assert texts("One\ntwo\n\nthree\n# Heading\nfour\n***\nfive") == [
        "One two",
        "three",
        "four",
        "five",
    ]


def test_headings_stand_over_what_follows_and_are_no_sentences() -> None:
    markdown = "# Guide\nA.\n## Setup ##\nB.\n### Deep\nC.\n## Other\nD.\n\nUnderlined\n===\nE."
    assert [(s.text, s.headings) for s in read_sentences(markdown)] == [
        ("A.", ("Guide",)),
        ("B.", ("Guide", "Setup")),
        ("C.", ("Guide", "Setup", "Deep")),
        ("D.", ("Guide", "Other")),
        ("E.", ("Underlined",)),
    ]


def test_list_items_lose_their_marker_and_keep_their_lines_together() -> None:
    markdown = "- one\n  goes on\n* [x] two. More.\n10. three"
    assert [(s.marker, s.text) for s in read_sentences(markdown)] == [
        ("-", "one goes on"),
        ("*", "two."),
        ("", "More."),
        ("10.", "three"),
    ]


def test_a_list_belongs_to_the_sentence_whose_colon_leads_to_it() -> None:
    markdown = "Intro. There are **two:**\n\n- one\n- two. Still two.\n\nAfter.\n\n- other"
    sentences = read_sentences(markdown)
    assert [(s.text, s.parent) for s in sentences] == [
        ("Intro.", None),
        ("There are **two:**", None),
        ("one", 1),
        ("two.", 1),
        ("Still two.", 1),
        ("After.", None),
        ("other", None),
    ]


def test_a_heading_ends_what_a_colon_leads_to() -> None:
    assert read_sentences("Look:\n\n# Next\n\n- a")[1].parent is None
    assert read_sentences("Look:\n\n# Next\n\n```\na\n```")[1].parent is None


def test_what_a_colon_has_led_to_code_leads_to_no_list() -> None:
    assert read_sentences("Run:\n\n```\na\n```\n\n- item")[2].parent is None


def test_a_table_between_a_sentence_and_code_parts_them() -> None:
    assert read_sentences("Text.\n\n| a |\n\n```\nb\n```")[2].parent is None


def test_a_rule_below_a_list_item_makes_no_heading_of_it() -> None:
    sentences = read_sentences("- item\n---\nText.")
    assert [(s.marker, s.text, s.headings) for s in sentences] == [
        ("-", "item", ()),
        ("", "Text.", ()),
    ]


def test_table_rows_stand_alone_under_their_header() -> None:
    table = "| Name | Default |\n|:---|---:|\n| `a \\| b`   | 5m |\n|  |  |\n| c | 1 |"
    rows = read_sentences(f"{table}\n\n| no | header |")
    assert {row.kind for row in rows} == {Kind.ROW}
    assert [(row.text, row.table_header) for row in rows] == [
        ("`a \\| b` | 5m", "Name | Default"),
        ("c | 1", "Name | Default"),
        ("no | header", ""),
    ]


def test_code_is_one_piece_and_belongs_to_the_sentence_above_it() -> None:
    sentences = read_sentences("Install. Then run:\n\n```sh\na. b\n\n# no heading\n```\nDone.")
    assert [(s.kind, s.text, s.parent) for s in sentences] == [
        (Kind.PROSE, "Install.", None),
        (Kind.PROSE, "Then run:", None),
        (Kind.CODE, "```sh\na. b\n\n# no heading\n```", 1),
        (Kind.PROSE, "Done.", None),
    ]


def test_code_within_a_list_item_is_moved_to_the_margin() -> None:
    sentences = read_sentences("1. Run it:\n   ```\n   if x:\n       y\n   ```\n2. Done")
    assert [s.text for s in sentences] == ["Run it:", "```\nif x:\n    y\n```", "Done"]
    assert sentences[1].parent == 0


def test_a_longer_fence_holds_a_shorter_one() -> None:
    assert texts("````md\n```\na\n```\n````\nAfter.") == ["````md\n```\na\n```\n````", "After."]


def test_code_that_was_cut_at_the_end_is_closed() -> None:
    assert texts("Run:\n\n```py\na = 1") == ["Run:", "```py\na = 1\n```"]


def test_a_passage_that_begins_inside_code_does_not_take_prose_for_code() -> None:
    assert texts("a = 1\n# comment\n```\n\nProse here.") == [
        "```\na = 1\n# comment\n```",
        "Prose here.",
    ]


def test_an_empty_code_block_is_nothing() -> None:
    assert texts("```yaml\n```") == []


def test_a_nested_item_belongs_to_the_item_around_it() -> None:
    markdown = "Types:\n\n* one:\n    * a\n        * deep\n    * b\n* two\n\nAfter.\n    - other"
    assert [(s.text, s.parent) for s in read_sentences(markdown)][:6] == [
        ("Types:", None),
        ("one:", 0),
        ("a", 1),
        ("deep", 2),
        ("b", 1),
        ("two", 0),
    ]


def test_items_nested_without_end_stay_shallow() -> None:
    markdown = "\n".join(f"{' ' * n}- item{n}" for n in range(500))
    depths: list[int] = []
    for sentence in read_sentences(markdown):
        depths.append(0 if sentence.parent is None else depths[sentence.parent] + 1)
    assert max(depths) <= 6


def test_bold_lines_and_questions_that_stand_alone_are_headings_too() -> None:
    markdown = "# Guide\n\n**Option A**\n\nFirst.\n\nWhat next?\n\nSecond.\n\n**Bold.**\n\nThird."
    assert [(s.text, s.headings) for s in read_sentences(markdown)] == [
        ("**Option A**", ("Guide",)),
        ("First.", ("Guide", "Option A")),
        ("What next?", ("Guide", "Option A")),
        ("Second.", ("Guide", "What next?")),
        ("**Bold.**", ("Guide", "What next?")),
        ("Third.", ("Guide", "What next?")),
    ]


@pytest.mark.parametrize(
    ("text", "is_title"),
    [
        ("Creating test cases", True),
        ("**Option A**", True),
        ("We open at nine.", False),
        ("Port 8080", False),
        ("Run:", False),
        ("This line is much too long to be the title of anything that follows it", False),
    ],
)
def test_a_short_paragraph_without_an_end_is_a_title(text: str, is_title: bool) -> None:
    [sentence] = read_sentences(text)
    assert sentence.is_title is is_title


def test_a_footnote_belongs_to_the_sentence_before_it() -> None:
    assert split_sentences("It is proven.[7] More is not.[a][12] See [x].") == [
        "It is proven.[7]",
        "More is not.[a][12]",
        "See [x].",
    ]


def test_attributes_of_headings_are_left_out() -> None:
    [sentence] = read_sentences("## CORS { #cors .big }\nA.")
    assert sentence.headings == ("CORS",)


@pytest.mark.parametrize(
    "noise",
    [
        "import { Callout, Tabs } from '@/components';\nimport X from \"x\"",
        "import {\n  Callout,\n  Tabs,\n} from '@/components';",
        "export const meta = { title: 'A' };",
        "<Snippet\n  src={snippets.python.simple}\n/>",
        '<figure style={{ margin: "2rem" }}>\n  <img\n    src="a.png"\n    alt="A"\n/>\n</figure>',
        "<!-- a comment\nin two lines -->",
        "{* ../docs_src/cors/tutorial001.py hl[2] *}",
        "{/* a comment */}",
        "{% include 'x.html' %}",
        "![A plot](plot.png)",
        "[![build](b.svg)](https://ci.example)",
        '[guide]: https://a.example "Guide"',
        '=== "Tab"',
    ],
)
def test_what_makes_a_page_and_says_nothing_is_no_text(noise: str) -> None:
    assert texts(f"Before.\n\n{noise}\n\nAfter.") == ["Before.", "After."]


def test_prose_that_begins_like_an_import_is_prose() -> None:
    text = "import it from the module that you have\nand export nothing."
    assert texts(text) == [" ".join(text.split())]


def test_prose_above_a_cut_code_block_is_no_code() -> None:
    markdown = "Set the two variables in your shell:\n```\nA=1"
    assert texts(markdown) == ["Set the two variables in your shell:", "```\nA=1\n```"]


def test_quotes_tags_and_admonition_markers_are_no_text() -> None:
    quote = "> [!NOTE]\n> Quoted."
    tags = '<Callout type="info">\n  Called out.\n</Callout>'
    admonition = "/// tip\nA tip.\n///"
    assert texts(f"{quote}\n\n{tags}\n\n{admonition}") == ["Quoted.", "Called out.", "A tip."]
