"""Which share of an answer is cited, and whether it has the words of the gold answer."""

import pytest

from app.evaluation.answers import cited_share, has_words


@pytest.mark.parametrize(
    ("message", "share"),
    [
        ("Ducks swim. [1]", 1.0),
        ("Ducks swim [1]. Bats fly [2].", 1.0),
        ("Ducks swim. [1] Bats fly. [2]", 1.0),
        ("Ducks swim. Bats fly. [2]", 0.5),
        ("Ducks swim. [1] Bats fly.", 0.5),
        ("Ducks swim. Bats fly.", 0.0),
        # Nothing stands behind a marker of no passage.
        ("Ducks swim. [9]", 0.0),
        # Whoever cites the code cites what leads to it.
        ("Run this:\n\n```sh\nmake test\n```\n\n[1]", 1.0),
        ("", None),
    ],
)
def test_a_sentence_is_cited_when_a_marker_follows_it(message: str, share: float | None) -> None:
    assert cited_share(message, sources=2) == share


@pytest.mark.parametrize(
    "message",
    [
        "Ducks swim on ponds. Their feathers repel water.",
        "As it says: ducks swim\non ponds [1]. Their feathers repel water [2].",
        "Ducks swim on ponds.[1] Their feathers repel water.[1][2]",
        "Ducks swim on ponds. [1] Their feathers repel water. [1, 2]",
    ],
)
def test_an_answer_has_the_gold_words_whatever_markers_stand_between_them(message: str) -> None:
    words = ["Ducks swim on ponds. Their feathers", "repel water."]
    assert has_words(message, 2, words)
    assert not has_words(message, 2, [*words, "Bats"])
