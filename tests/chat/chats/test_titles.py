"""What a chat is called that nobody gave a title."""

import pytest

from app.chat.chats.titles import title_from
from tests.chat.hostile_texts import HOSTILE_TEXTS


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How do I ingest a folder?", "How do I ingest a folder?"),
        ("How do I ingest a folder? And a site?", "How do I ingest a folder?"),
        ("Is it in v1.2, e.g. for U.S. users? Thanks.", "Is it in v1.2, e.g. for U.S. users?"),
        ("  How do\tI\u00a0 ingest  it \n\nHere is what I tried:\n1. …", "How do I ingest it"),
        ("\n\n \nThe second line", "The second line"),
        ("one\x1b[2Jtwo\x07", "one [2Jtwo"),
        ("如何导入文件夹？谢谢。", "如何导入文件夹？"),
        ("???", "???"),
        ("👋", "👋"),
        ("\x1b\x07", ""),
    ],
)
def test_it_is_the_first_sentence_in_one_line(question: str, title: str) -> None:
    assert title_from(question) == title


def test_a_long_sentence_is_cut_at_a_word() -> None:
    question = "How do I make it so that " + "everything, really everything, " * 5 + "works?"

    assert title_from(question) == (
        "How do I make it so that everything, really everything, everything, really…"
    )


@pytest.mark.parametrize("word", ["x" * 300, "https://example.org/" + "a/" * 100, "文" * 300])
def test_a_long_word_is_cut_itself(word: str) -> None:
    assert title_from(word) == word[:79] + "…"
    assert title_from(f"Read {word}") == f"Read {word}"[:79] + "…"


@pytest.mark.parametrize("length", range(60, 100))
def test_it_is_never_longer_than_80_characters(length: int) -> None:
    question = "word " * (length // 5) + "x" * (length % 5)

    title = title_from(question)

    assert len(title) <= 80
    assert title.endswith("…") == (len(question.strip()) > 80)


@pytest.mark.parametrize("question", HOSTILE_TEXTS.values())
def test_whatever_is_asked_its_title_is_one_line(question: str) -> None:
    title = title_from(question)

    assert len(title) <= 80
    assert title.isprintable() or not title.isascii()
    assert title == " ".join(title.split())
