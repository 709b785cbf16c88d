"""The words around what was searched for."""

import pytest

from app.chat.chats.snippets import snippet

BEFORE = "Once upon a time, long before anybody asked, there was a house by the sea. "
AFTER = " Nobody knows where he went after that, or if he ever came home to the house."


@pytest.mark.parametrize(
    ("text", "searched", "shown"),
    [
        ("Where is the boat?", "boat", "Where is the boat?"),
        ("Where is\n\nthe   BOAT?", "boat", "Where is the BOAT?"),
        ("Ärger mit ÖL", "öl", "Ärger mit ÖL"),
        ("50% of a_b [x](y)", "% of a_b [", "50% of a_b [x](y)"),
        ("nothing of it", "boat", "nothing of it"),
        ("", "boat", ""),
    ],
)
def test_a_short_text_is_shown_whole_in_one_line(text: str, searched: str, shown: str) -> None:
    assert snippet(text, searched) == shown


def test_a_long_text_is_cut_at_words_around_the_first_match() -> None:
    shown = snippet(f"{BEFORE}The fisherman sailed.{AFTER} The fisherman!", "fisherman")

    assert shown == (
        "…before anybody asked, there was a house by the sea. The fisherman sailed."
        " Nobody knows where he went after that, or if he…"
    )


def test_words_without_spaces_are_cut_anywhere() -> None:
    shown = snippet("文" * 200 + "船" + "文" * 200, "船")

    assert shown == "…" + "文" * 60 + "船" + "文" * 60 + "…"


def test_what_postgresql_alone_finds_is_shown_from_its_beginning() -> None:
    shown = snippet("The house. " * 30, "boat")

    assert shown.startswith("The house. The house.")
    assert shown.endswith("…")
    assert len(shown) <= 61
