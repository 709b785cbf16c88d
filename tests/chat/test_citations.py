import random
import re
from collections.abc import Iterator

import pytest

from app.chat.citations import Citable, Cited, check
from app.chat.markers import clean
from app.chat.sentences import split_sentences

GUIDE = """\
# Runs

A run is cancelled after
5 minutes by default. Set `TIMEOUT_SEC` to change
that. Failed runs are not retried. Dr. Ada Marsh wrote the scheduler in 1999.

| Option | Default | Meaning |
|---|---|---|
| `retries` | 3 | attempts after the first |
| `workers` | 8 | processes per machine |

To start everything:

```bash
make install
make run PORT=8000
```

- Logs go to standard error.
- Metrics are served under `/metrics`.
"""
OFFSET = 1_000
DOCUMENT = "x" * OFFSET + GUIDE
PASSAGE = Citable(1, GUIDE, OFFSET)
OTHER = Citable(2, "London has nine million inhabitants. Bread is baked at night.", 0)


def cite(answer: str) -> Cited:
    (cited,) = check(answer, [PASSAGE, OTHER])
    return cited


def verified(answer: str) -> bool:
    return cite(answer).verified


@pytest.mark.parametrize(
    ("answer", "quote"),
    [
        (
            "A run is cancelled after 5 minutes by default [1].",
            "A run is cancelled after\n5 minutes by default.",
        ),
        ("Set `TIMEOUT_SEC` to change that. [1]", "Set `TIMEOUT_SEC` to change\nthat."),
        ("Failed runs are not retried.[1]", "Failed runs are not retried."),
        ("[1] Failed runs are not retried.", "Failed runs are not retried."),
        ("- [1] Failed runs are not retried.", "Failed runs are not retried."),
        (
            "By default, `workers` is 8 processes per machine [1].",
            "`workers` | 8 | processes per machine",
        ),
        (
            "| Option | Default |\n|---|---|\n| `retries` | 3 [1] |",
            "`retries` | 3 | attempts after the first",
        ),
        (
            "```sh\nmake install\nmake run PORT=8000\n```\n\n[1]",
            "make install\nmake run PORT=8000",
        ),
        ("Start it:\n\n```sh\nmake install\n```\n[1]", "make install"),
        ("Start with `make run PORT=8000` [1].", "make run PORT=8000"),
        ("- Logs go to standard error [1].", "Logs go to standard error."),
        ("London has 9 million inhabitants【2†source】.", "London has nine million inhabitants."),
    ],
)
def test_the_quote_is_the_piece_that_says_it(answer: str, quote: str) -> None:
    cited = cite(answer)
    assert cited.quote == quote
    assert cited.verified
    assert cited.score >= 0.5


@pytest.mark.parametrize(
    ("text", "said", "quote"),
    [
        ("# Runs\n\nRuns are kept\nfor a week.", "Runs are kept for a week.", None),
        ("> Runs are kept\n> for a week. Then", "Runs are kept for a week.", None),
        ("|Name|Kept|\n|-|-|\n|Runs|for  a week|", "Runs are kept for a week", "Runs|for  a week"),
        (">>> run(7)\n'kept'\n", "```\n>>> run(7)\n'kept'\n```", ">>> run(7)\n'kept'"),
        ("1. Runs\n   are kept.\n2. Logs", "Runs are kept.", "Runs\n   are kept."),
        (f"Runs are not{' ' * 150}kept.", "Runs are not kept.", f"Runs are not{' ' * 150}kept."),
        ("Runs are\u2028kept\r\nfor a week.", "Runs are kept for a week.", None),
    ],
)
def test_a_quote_is_found_in_any_layout(text: str, said: str, quote: str | None) -> None:
    text = f"```\n{text}\n```" if said.startswith("```") else text
    (cited,) = check(f"{said}\n[1]", [Citable(1, text, 0)])
    quote = quote or text[text.rindex("Runs") : text.index("week.") + len("week.")]
    assert (cited.quote, cited.verified) == (quote, True)


def test_offsets_are_those_of_the_document() -> None:
    for answer in ("Failed runs are not retried [1].", "`workers` is 8 [1].", "Nonsense [1]."):
        cited = cite(answer)
        assert DOCUMENT[cited.start : cited.end] == cited.quote != ""


@pytest.mark.parametrize(
    "answer",
    [
        "A run is cancelled after 6 minutes by default [1].",
        "A run is cancelled after 3 minutes by default [1].",  # a number of another place
        "A run is not cancelled after 5 minutes by default [1].",
        "Failed runs are retried [1].",
        "Dr. Bob Stone wrote the scheduler in 1999 [1].",
        "Set `TIMEOUT_MS` to change that [1].",
        'It says "runs are cancelled at once" after 5 minutes by default [1].',
        "`workers` is 3 processes per machine [1].",
        "London has nine million inhabitants [1].",
        "Runs can be watched on a dashboard with many colours [1].",
        "Un processus est interrompu au bout de cinq minutes [1].",
        "```sh\nmake install\nmake run PORT=9000\n```\n[1]",
        "```sh\nmake run PORT=8000\nmake install\n```\n[1]",  # the other way round
        "```sh\nrm -rf build\n```\n[1]",
        "It is. [1]",
        "No. [1]",
        "[1]",
    ],
)
def test_what_the_passage_does_not_say_is_never_verified(answer: str) -> None:
    cited = cite(answer)
    assert not cited.verified
    assert DOCUMENT[cited.start : cited.end] == cited.quote


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        # A few words in common.
        ("The red valve is tested by two auditors every month [1].", "The red valve is wide."),
        # Put together from two places.
        (
            "The red valve feeds the tank [1].",
            "The red valve feeds the engine. The blue pump cools the tank.",
        ),
        # Words of the passage, but not its code.
        ("```sh\nred valve wide\n```\n[1]", "The red valve is wide."),
        ("No. [1]", "No. That is wrong. It is."),
        ("It is. [1]", "No. That is wrong. It is."),
        ("Wide valves [1].", "The red valve. A wide door."),
        # The other way round.
        ("Retries are enabled by default [1].", "Retries are disabled by default."),
        ("The maximum is 5 runs [1].", "The minimum is 5 runs."),
        ("`run` | No | `fast` [1]", "| a | b | c |\n|-|-|-|\n| `run` | Yes | `fast` |"),
    ],
)
def test_common_words_alone_verify_nothing(answer: str, text: str) -> None:
    (cited,) = check(answer, [Citable(1, text, 0)])
    assert not cited.verified


WORKER = "A worker asks for jobs. It waits ten seconds before it gives up. Running jobs end first."


@pytest.mark.parametrize(
    "said",
    [
        # A clause, a word in the place of another, a word more.
        "It waits ten seconds before it gives up, and then pages the on-call engineer.",
        "It waits ten seconds before it gives up; all engineers are paged.",
        "Running jobs are killed first.",
        "Running database jobs end first.",
        # Another unit, another bound.
        "It waits ten minutes before it gives up.",
        "It waits 10 ms before it gives up.",
        "It waits less than ten seconds before it gives up.",
        "It waits at least ten seconds before it gives up.",
        "It waits ten seconds or more before it gives up.",
        "It waits up to ten seconds before it gives up.",
        "It waits over 10 seconds before it gives up.",
        # Too little to be a statement.
        "Ten.",
        "Worker.",
    ],
)
def test_what_is_made_up_besides_the_words_of_a_passage_is_not_verified(said: str) -> None:
    (cited,) = check(f"{said} [1]", [Citable(1, WORKER, 0)])
    assert not cited.verified


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("It waits ten seconds.", "It waits ten seconds before it gives up."),
        ("It waits 10 s before giving up.", "It waits ten seconds before it gives up."),
        ("It keeps no more than 5 runs.", "It keeps at most **5** runs."),
        ("It keeps at least 5 runs.", "It keeps 5 runs or more."),
        ("More than 5 runs are kept.", "Over 5 runs are kept."),
        ("It costs $5 a year.", "It costs 5 dollars a year."),
        ("Half of them, 50% of the runs, failed.", "Half of them, 50 percent of the runs, failed."),
        ("In 1999 Ada wrote it.", "Ada wrote it in 1999 alone."),
        ("Deprecated.", "Deprecated."),
    ],
)
def test_quantities_and_short_statements_that_agree_are_verified(said: str, written: str) -> None:
    (cited,) = check(f"{said} [1]", [Citable(1, f"Other things. {written} More things.", 0)])
    assert (cited.quote, cited.verified) == (written, True)


def test_a_short_sentence_is_found_behind_a_longer_one_with_its_word() -> None:
    (cited,) = check("This land! [1]", [Citable(1, "Renew the face of the land! This land!", 0)])
    assert (cited.quote, cited.verified) == ("This land!", True)


def test_a_row_is_read_with_the_head_of_its_table() -> None:
    table = "| Limit | Default timeout |\n|---|---|\n| `upload` | 30 |"
    (cited,) = check("The default timeout limit of `upload` is 30 [1].", [Citable(1, table, 0)])
    assert (cited.quote, cited.verified) == ("`upload` | 30", True)


def test_a_marker_that_begins_a_line_belongs_to_what_follows() -> None:
    answer = "Bread is baked at night [2].\n\n[1] Failed runs are not retried."
    assert [(c.marker, c.verified) for c in check(answer, [PASSAGE, OTHER])] == [
        (2, True),
        (1, True),
    ]


def test_a_marker_behind_a_single_word_stands_for_the_whole_sentence() -> None:
    answer = "London [2] is smaller than Paris and Rome [1]."
    assert [c.verified for c in check(answer, [PASSAGE, OTHER])] == [False, False]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("It costs 1000 euros a year.", "It costs 1,000 euros a year."),
        ("It takes three hours a day.", "It takes 3 hours a day."),
        ("It weighs 5 kilograms in total.", "It weighs 5.0 kilograms in total."),
        ("You can't delete a shared folder.", "You cannot delete a shared folder."),
        ("The **shared** folder is deleted.", "The shared folder is deleted."),
        ("你可以删除共享文件夹。", "你可以删除共享文件夹。"),
    ],
)
def test_the_same_said_in_another_form_is_verified(said: str, written: str) -> None:
    (cited,) = check(f"{said} [1]", [Citable(1, f"Other things. {written} More things.", 0)])
    assert (cited.quote, cited.verified) == (written, True)


@pytest.mark.parametrize("marker", ["[0]", "[3]", "[99]", "[3-99999999999]", "【7†source】"])
def test_a_marker_to_no_passage_leads_nowhere(marker: str) -> None:
    assert check(f"Failed runs are not retried {marker}.", [PASSAGE, OTHER]) == []


def test_numbers_may_have_gaps() -> None:
    passages = [PASSAGE, Citable(5, OTHER.text, 0)]
    answer = "Failed runs are not retried [1][3]. Bread is baked at night [4][5]."
    assert [cited.marker for cited in check(answer, passages)] == [1, 5]


@pytest.mark.parametrize(
    "answer",
    [
        "Use `rows[1]` here.",
        "```python\nfirst = rows[1]\nlast = [1]\n```",
        "See [1](https://a.example).",
        "A footnote[^1].",
        "The index list[1] in prose.",
        "Nothing is cited.",
        "",
    ],
)
def test_what_is_no_marker_is_no_citation(answer: str) -> None:
    assert check(answer, [PASSAGE, OTHER]) == []


def test_a_passage_may_hold_markers_itself() -> None:
    text = "First sentence [1]. Then `rows[1]` is read [2]. The end [99]."
    (cited,) = check("Then `rows[1]` is read [1].", [Citable(1, text, 0)])
    assert (cited.quote, cited.verified) == ("Then `rows[1]` is read [2].", True)


def test_the_same_marker_and_quote_is_one_entry() -> None:
    answer = "Failed runs are not retried [1][1]. As said, failed runs are not retried [1]."
    assert len(check(answer, [PASSAGE])) == 1


def test_one_quote_for_a_right_and_a_wrong_statement_is_not_verified() -> None:
    for answer in (
        "Failed runs are not retried [1]. Failed runs are retried [1].",
        "Failed runs are retried [1]. Failed runs are not retried [1].",
    ):
        assert not verified(answer)


def test_each_marker_inside_a_sentence_stands_for_its_part() -> None:
    answer = (
        "A run is cancelled after 5 minutes by default [1], while London has nine million "
        "inhabitants [2]."
    )
    assert [(c.marker, c.verified) for c in check(answer, [PASSAGE, OTHER])] == [
        (1, True),
        (2, True),
    ]


def test_of_several_markers_for_one_statement_each_is_checked_by_itself() -> None:
    cited = check("London has nine million inhabitants [1][2].", [PASSAGE, OTHER])
    assert [(c.marker, c.verified) for c in cited] == [(1, False), (2, True)]


def test_citations_come_in_the_order_of_the_answer() -> None:
    answer = "Bread is baked at night [2]. Failed runs are not retried [1]. London is big [2]."
    assert [cited.marker for cited in check(answer, [PASSAGE, OTHER])] == [2, 1, 2]


def test_what_stands_above_a_passage_counts_as_said() -> None:
    answer = "Nikola Tesla died in New York in 1943 [1]."
    text = "He was poor. He died in New York in 1943."
    assert not check(answer, [Citable(1, text, 0)])[0].verified
    assert check(answer, [Citable(1, text, 0, heading="Nikola Tesla")])[0].verified


@pytest.mark.parametrize("text", ["", "   \n ", "# Only a heading", "---", "|---|"])
def test_a_passage_without_sentences_verifies_nothing(text: str) -> None:
    (cited,) = check("A thing is so [1].", [Citable(1, text, 7)])
    assert not cited.verified
    assert text[cited.start - 7 : cited.end - 7] == cited.quote


NOUNS = ("engine", "harbour", "ledger", "orchard", "signal", "treaty", "valve", "windmill")
VERBS = ("governs", "holds", "measures", "moves", "replaces", "feeds")
NAMES = ("Ada", "Boris", "Chen", "Dora", "Emil", "Fatima")
FORMS = (
    "[{0}]",
    "[{0}][99]",
    "[0][{0}]",
    "[{0}, 77]",
    "[[{0}]]",
    "【{0}】",
    "【{0}†source】",
    "[99]",
)
FRAMES = (
    "{0} {1}",
    "{1} {0}",
    "- {0} {1}",
    "> {0} {1}",
    "| {0} | {1} |",
    "```\n{0}\n```\n\n{1}",
    "`{0} {1}` {1}",
    "## {0} {1}\n",
    "{0} and `x[9]` {1}",
)


def sentence(rng: random.Random) -> str:
    words = (rng.choice(NAMES), rng.choice(VERBS), "the", rng.choice(NOUNS), "of")
    number = rng.choice(("", f" in {rng.randrange(1000, 2000)}", f" {rng.randrange(2, 90)} times"))
    return f"{' '.join(words)} the {rng.choice(NOUNS)}{number}."


def passage(rng: random.Random) -> str:
    blocks = []
    for _ in range(rng.randrange(1, 6)):
        said = [sentence(rng) for _ in range(rng.randrange(1, 5))]
        blocks.append(
            rng.choice(
                (
                    " ".join(said),
                    "\n".join(said),
                    "\n".join(f"* {one}" for one in said),
                    "> " + "\n> ".join(said),
                    "| a | b |\n|---|---|\n" + "\n".join(f"| {one} | [1] |" for one in said),
                    "```\n" + "\n".join(said) + "\n```",
                    f"# {said[0]}\n\n{said[-1]}",
                )
            )
        )
    return "\n\n".join(blocks) + rng.choice(("", "\n", "\n```\ncut", " and so"))


def examples(seed: int, count: int) -> Iterator[tuple[str, dict[int, tuple[str, Citable]]]]:
    """Yield answers that quote, garble and invent, with documents and passages."""
    rng = random.Random(seed)
    for _ in range(count):
        passages = {}
        for number in range(1, rng.randrange(2, 6)):
            text = passage(rng)
            start = rng.randrange(50)
            document = "é" * start + text + "after"
            passages[number] = (document, Citable(number, text, start))
        parts = []
        for _ in range(rng.randrange(1, 8)):
            number = rng.choice(list(passages))
            quoted = split_sentences(passages[number][1].text) or ["Nothing."]
            said = rng.choice((rng.choice(quoted).replace("```", ""), sentence(rng)))
            parts.append(rng.choice(FRAMES).format(said, rng.choice(FORMS).format(number)))
        yield rng.choice(("\n\n", "\n")).join(parts), passages


@pytest.mark.parametrize("seed", range(8))
def test_every_quote_of_generated_answers_stands_at_its_offsets(seed: int) -> None:
    found = 0
    for answer, passages in examples(seed, 150):
        for cited in check(answer, [citable for _, citable in passages.values()]):
            document, _ = passages[cited.marker]
            assert document[cited.start : cited.end] == cited.quote
            assert 0 <= cited.score <= 1
            found += cited.verified
    assert found > 50


@pytest.mark.parametrize("seed", range(8))
def test_no_unknown_marker_survives_in_generated_answers(seed: int) -> None:
    for answer, passages in examples(seed, 150):
        text, markers = clean(answer, len(passages))
        prose = re.sub(r"```.*?(```|\Z)|`[^`\n]*`", "", text, flags=re.DOTALL)
        left = {int(number) for number in re.findall(r"[\[【](\d+)", prose)}
        assert left <= set(passages)
        assert {marker.number for marker in markers} <= set(passages)


@pytest.mark.parametrize(
    "piece",
    [
        "[1]",
        "word [1] ",
        "[1]\n",
        "- [1] a b\n",
        "| a [1] | b |\n",
        "```\na\n```\n[1]\n",
        "# a [1]\n",
    ],
)
def test_an_answer_of_100_000_characters_is_checked(piece: str) -> None:
    answer = piece * (100_000 // len(piece))
    for cited in check(answer, [PASSAGE, OTHER]):
        assert DOCUMENT[cited.start : cited.end] == cited.quote


def test_a_long_passage_is_checked() -> None:
    text = "```\na\n```\nA line of text.\n" * 2_000 + "The valve holds 12 signals.\n"
    (cited,) = check("The valve holds 12 signals [1].", [Citable(1, text, 0)])
    assert (cited.quote, cited.verified) == ("The valve holds 12 signals.", True)
