"""A chunk is embedded in parts, each under its headings."""

import numpy as np
import pytest

from app.knowledge.chunking import MAX_CHARACTERS
from app.knowledge.embedding import Embedder
from app.knowledge.windows import embed_windows, mean_vectors, read_vectors, windows

SENTENCE = "The follower applies every change in its order. "
CODE = "\n".join(f"    results[{n}] = await fetch(urls[{n}], timeout=10)" for n in range(18))


def bodies(heading: str, parts: list[str]) -> list[str]:
    assert all(part.startswith(f"{heading}\n\n") for part in parts)
    return [part.removeprefix(f"{heading}\n\n") for part in parts]


@pytest.mark.parametrize("text", ["", " \n", "x", SENTENCE * 8])
def test_a_short_chunk_is_embedded_whole(text: str) -> None:
    assert windows(("Guide", "Index"), text) == [f"Guide > Index\n\n{text}"]
    assert windows((), text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE * 18,
        CODE,
        "- item\n" * 120,
        "中文没有空格。" * 40,
        "x" * MAX_CHARACTERS,
        " " * MAX_CHARACTERS,
        "x" + " " * MAX_CHARACTERS,
        " " * MAX_CHARACTERS + "x",
        "\n" * 400 + "x" + "\n" * 400,
        ". " * 450,
        "a.b" * 300,
        "\r\n\t\u2028" * 300,
        "👩‍👩‍👧" * 200,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_nothing_is_lost_and_no_window_is_blank(text: str) -> None:
    parts = bodies("Guide", windows(("Guide",), text))
    assert "".join(parts) == text
    assert all(part.strip() for part in parts) or parts == [text]
    assert windows(("Guide",), text) == windows(("Guide",), text)


def test_a_long_chunk_has_windows_of_about_a_third() -> None:
    parts = windows((), SENTENCE * 18)
    assert len(parts) == 3
    assert all(200 < len(part) < 400 for part in parts)


def test_a_window_ends_after_a_line_or_else_a_sentence_or_else_a_word() -> None:
    assert [part[-1] for part in windows((), CODE)[:-1]] == ["\n", "\n"]
    assert all(part.endswith("order. ") for part in windows((), SENTENCE * 17))
    words = windows((), "word " * 170)
    assert len(words) == 3
    assert all(part.endswith("word ") for part in words)


def test_a_text_without_end_is_cut_in_linear_time() -> None:
    # A quadratic cut of this much would take minutes.
    for text in ("x" * 2_000_000, ". " * 1_000_000, " " * 2_000_000):
        assert "".join(windows((), text)) == text


def test_each_window_has_the_vector_of_its_own_text(embedder: Embedder) -> None:
    long, short = windows(("Guide",), SENTENCE * 12 + "Tea is hot. " * 20), windows((), "Tea.")
    stored = embed_windows(embedder, [long, short, []])
    assert [len(one) for one in stored] == [4 * 384 * len(long), 4 * 384, 0]
    np.testing.assert_array_equal(read_vectors(stored[0], 384), embedder.embed(long))
    np.testing.assert_array_equal(read_vectors(stored[1], 384), embedder.embed(short))


def test_nothing_to_embed_is_no_vector(embedder: Embedder) -> None:
    assert embed_windows(embedder, []) == []


def test_a_chunk_as_a_whole_is_about_the_mean_of_its_windows() -> None:
    one, two = np.array([[1, 0]], dtype="<f4"), np.array([[1, 0], [0, 1]], dtype="<f4")
    opposite = np.array([[0, 1], [0, -1]], dtype="<f4")
    means = mean_vectors([vectors.tobytes() for vectors in (one, two, opposite)], 2)
    assert means == pytest.approx(np.array([[1, 0], [0.5**0.5, 0.5**0.5], [0, 0]]))
    assert means.dtype == np.float32
    assert mean_vectors([], 2).shape == (0, 2)
