"""BM25 term weights."""

import pytest

from app.knowledge.sparse import SparseEncoder


def test_a_document_s_weights_never_change_from_one_version_to_the_next() -> None:
    """They are stored: if this fails, raise FORMAT in vector_index.py."""
    vector = SparseEncoder().encode_document("hello hello world")
    weights = dict(zip(vector.indices, vector.values, strict=True))
    assert weights == pytest.approx({613153351: 1.9043111, 74040069: 1.6786885})


def test_a_query_and_a_document_share_the_terms_they_have_in_common() -> None:
    encoder = SparseEncoder()
    document = encoder.encode_document("Configuring the workers of a server")
    query = encoder.encode_query("how is a Worker configured?")
    assert len(set(query.indices) & set(document.indices)) == 2


def test_a_query_of_stop_words_has_no_terms() -> None:
    assert SparseEncoder().encode_query("what is the") == ([], [])


def test_words_of_other_scripts_are_terms_too() -> None:
    encoder = SparseEncoder()
    assert encoder.encode_query("日本語").indices
    assert encoder.encode_query("Größe") == encoder.encode_query("größe")
