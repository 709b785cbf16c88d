"""Which share of an answer is cited."""

import pytest

from app.evaluation.answers import cited_share


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
