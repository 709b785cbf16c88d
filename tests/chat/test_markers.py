import random

import pytest

from app.chat.markers import MAX_MARKER, MarkerFilter, clean

PASSAGES = 5


def cleaned(answer: str) -> str:
    return clean(answer, PASSAGES)[0]


def cited(answer: str) -> list[int]:
    return [marker.number for marker in clean(answer, PASSAGES)[1]]


@pytest.mark.parametrize(
    ("answer", "text", "numbers"),
    [
        ("It is blue [1].", "It is blue [1].", [1]),
        ("It is blue.[1]", "It is blue.[1]", [1]),
        ("It is blue[2].", "It is blue[2].", [2]),
        ("Two [1][3].", "Two [1][3].", [1, 3]),
        ("Twice [1][1].", "Twice [1][1].", [1, 1]),
        ("A list [1, 2].", "A list [1][2].", [1, 2]),
        ("A list [1,2;3].", "A list [1][2][3].", [1, 2, 3]),
        ("A range [1-3].", "A range [1][2][3].", [1, 2, 3]),
        ("An en dash [1–3].", "An en dash [1][2][3].", [1, 2, 3]),
        ("Backwards [3-1].", "Backwards [1][2][3].", [1, 2, 3]),
        ("Both [1-2, 5].", "Both [1][2][5].", [1, 2, 5]),
        ("Doubled [[4]].", "Doubled [4].", [4]),
        ("Spaces [ 1 ].", "Spaces [1].", [1]),
        ("Zeros [01].", "Zeros [1].", [1]),
        ("天空是蓝色的【1】。", "天空是蓝色的[1]。", [1]),
        ("Tool style【2†source】.", "Tool style[2].", [2]),
        ("Tool style【2:0†source】.", "Tool style[2].", [2]),
        ("Tool style [2†L5-L9].", "Tool style [2].", [2]),
        ("全角［１］。", "全角[1]。", [1]),
        ("See [the guide][2].", "See [the guide][2].", [2]),
        ("[1]", "[1]", [1]),
    ],
)
def test_every_form_of_a_marker_comes_out_as_numbers_in_brackets(
    answer: str, text: str, numbers: list[int]
) -> None:
    assert (cleaned(answer), cited(answer)) == (text, numbers)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Nobody [0].", "Nobody."),
        ("Nobody [99].", "Nobody."),
        ("Nobody.[6]", "Nobody."),
        ("Nobody [6] says [7] so.", "Nobody says so."),
        ("Nobody [6] [7][8].", "Nobody."),
        ("Some [1][99][2].", "Some [1][2]."),
        ("Some [2, 99].", "Some [2]."),
        ("Some [4-999999999].", "Some [4][5]."),
        ("A year [2020-2024].", "A year."),
        ("Huge [99999999999999999999999999].", "Huge."),
        ("Tool style【12†source】.", "Tool style."),
        ("- [9] An item", "- An item"),
        ("[99]", ""),
    ],
)
def test_unknown_markers_go_together_with_the_space_before_them(answer: str, text: str) -> None:
    assert cleaned(answer) == text


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Nobody ([99]).", "Nobody."),
        ("Nobody **[99]**.", "Nobody."),
        ("Nobody *[99]* says so.", "Nobody says so."),
        ("Nobody<sup>[99]</sup>.", "Nobody."),
        ("Nobody <sup> [99] </sup>.", "Nobody."),
        ("Nobody (**[99]**).", "Nobody."),
        ("Nobody ([98][99]).", "Nobody."),
        ("Nobody ([98], 【99】; [0]).", "Nobody."),
        ("没有人（【99】）。", "没有人。"),
        ("Nobody ([99])", "Nobody"),
        # Somebody is left in them.
        ("Some ([1]).", "Some ([1])."),
        ("Some ([1][99]).", "Some ([1])."),
        ("Some <sup>[1]</sup>.", "Some <sup>[1]</sup>."),
        ("Some **[1]** and *[2, 99]*.", "Some **[1]** and *[2]*."),
        ("Some (see [99]).", "Some (see)."),
        ("A **bold [99]** word.", "A **bold** word."),
        ("A link ([99](a.md)).", "A link ([99](a.md))."),
        ("A link [1]([99]).", "A link [1]()."),
        ("None () of ** these ** <sup></sup>.", "None () of ** these ** <sup></sup>."),
        ("* [99] An item\n* ([99]) Another", "* An item\n* Another"),
        ("Code `([99])` stays.", "Code `([99])` stays."),
        ("Never closed ([99]", "Never closed ("),
        ("Closed wrongly **([99]**.", "Closed wrongly **(**."),
    ],
)
def test_what_wraps_only_unknown_markers_goes_with_them(answer: str, text: str) -> None:
    assert cleaned(answer) == text


@pytest.mark.parametrize(
    "answer",
    [
        "Call `rows[1]` or `x [99]` here.",
        "Call ``a ` b [99]`` here.",
        "```python\nx = [1]\ny = [99]\n```\n",
        "~~~\n[99]\n```\n[99]\n~~~\n",
        "````md\n```\n[99]\n```\n[99]\n````\n",
        "```\nnever closed [99]\n\n[1]",
        "```js [99]``` on one line",
        "- A step:\n  ```sh\n  echo [99]\n  ```\n",
        "1. ```\n   [99]\n   ```\n",
        "> ```\n> [99]\n> ```\n",
        "```\n```python [99]\n[99]\n```\n",
        "A link [1](https://a.example) and [99](b.md).",
        "A picture ![99](a.png).",
        "A doubled link [[99]](https://a.example).",
        "A footnote[^1] and [^99].",
        "Escaped \\[99] and \\[1\\].",
        "The index a[0], list[9], sys.argv[7], max_runs[99], f()[9].",
        "The cell matrix[0][9].",
        "A matrix [[1, 2], [8, 9]] of numbers.",
        "Not closed [99 or [1, 2",
        "Half open [0, 9) and [1.5] and [-1] and [x] and [ ] and [1:9].",
        "Too long to be one [" + "9" * MAX_MARKER + "]",
    ],
)
def test_what_is_no_marker_stays_as_it_is(answer: str) -> None:
    assert cleaned(answer) == answer
    assert cited(answer) == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("A ` without a partner\nends [99] here.", "A ` without a partner\nends here."),
        ("Escaped \\` is no code [99].", "Escaped \\` is no code."),
        ("Struck ~~out~~ [99].", "Struck ~~out~~."),
        ("```\ncode [99]\n```\nText [99].", "```\ncode [99]\n```\nText."),
        ("```\ncode [99]\n``` [99] [1]", "```\ncode [99]\n``` [1]"),
        ("`code` [99]`[99]`", "`code``[99]`"),
    ],
)
def test_text_around_code_is_read_again(answer: str, text: str) -> None:
    assert cleaned(answer) == text


def test_what_is_left_of_a_removed_marker_is_no_new_one() -> None:
    for answer in ("[9[99]9]", "[9 [99]9]", "[9, [99]9]", "【9[99]】", "[[99]1]"):
        once = cleaned(answer)
        assert cleaned(once) == once


def test_markers_are_found_at_their_offsets() -> None:
    text, markers = clean("One [99] two【2】. Three `[1]` [1-2, 9].", PASSAGES)
    assert [(text[m.start : m.end], m.number) for m in markers] == [
        ("[2]", 2),
        ("[1]", 1),
        ("[2]", 2),
    ]


def test_without_passages_there_are_no_markers() -> None:
    assert clean("One [1]. Two [0].", 0) == ("One. Two.", [])


ALPHABET = [
    *"[](){}`~\\ \n.,-–:;†^>012345679ax一【】［］",
    *("[1]", "[99]", "[1, 2]", "[1-3]", "【2†source】", "```", "~~~", "````", "\n\n", "- ", "1. "),
    *("list", "word", "word ", "[[", "]]", "](", "\n```py\n", "\n```\n", "`[9]`", "\u00a0"),
    *("*", "**", "<sup>", "</sup>", "([99])", "(**[99]", "**)", "（"),
]


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_gives_the_same_however_it_is_cut(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        answer = "".join(rng.choices(ALPHABET, k=rng.randrange(1, 60)))
        whole, markers = clean(answer, PASSAGES)
        stream = MarkerFilter(PASSAGES)
        out, position = "", 0
        while position < len(answer):
            size = rng.choice((1, 1, 2, 3, 5, 8, 40))
            out += stream.feed(answer[position : position + size])
            position += size
            assert len(answer[:position]) < MAX_MARKER or len(stream._pending) <= MAX_MARKER + 1
        assert out + stream.finish() == whole, answer
        assert stream.markers == markers, answer
        assert all(whole[m.start : m.end] == f"[{m.number}]" for m in markers), answer


@pytest.mark.parametrize("seed", range(5))
def test_a_cleaned_text_has_nothing_left_to_remove(seed: int) -> None:
    rng = random.Random(seed)
    pieces = (
        "[1]",
        "[99]",
        "[0]",
        "[1, 7]",
        "【8】",
        " ",
        "word",
        ".",
        "\n",
        "`",
        "```\n",
        "[",
        "9",
        "(",
        ")",
        "**",
        "<sup>",
        "</sup>",
    )
    for _ in range(500):
        once = cleaned("".join(rng.choices(pieces, k=20)))
        assert cleaned(once) == once


def test_a_plain_answer_is_never_held_back_for_long() -> None:
    stream = MarkerFilter(PASSAGES)
    assert stream.feed("A plain answer") == "A plain answer"
    assert stream.feed(" with a marker [") == " with a marker"
    assert stream.feed("1") == ""
    assert stream.feed("]") == ""
    assert stream.feed(".") == " [1]."
    assert stream.finish() == ""


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[1",
        "[[1],",
        "`",
        "` ",
        "[1]",
        "[99] ",
        "\\",
        "~",
        "```\n",
        "*",
        "(",
        "([9] ",
        "<su",
        " ",
    ],
)
def test_hostile_answers_are_read_in_one_go(piece: str) -> None:
    answer = piece * (20_000 // len(piece))
    stream = MarkerFilter(PASSAGES)
    out = "".join(stream.feed(char) for char in answer) + stream.finish()
    assert out == cleaned(answer)
