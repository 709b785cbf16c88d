"""Fusing what two searches found, and choosing passages that differ."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from app.knowledge.ranking import Ranked, diversify, fuse
from app.knowledge.vector_index import Hit, Legs

A, B, C, D, E = (UUID(int=number) for number in range(1, 6))
GUIDE, MANUAL, MEMO = (UUID(int=number) for number in range(11, 14))


def legs(dense: dict[UUID, float], sparse: dict[UUID, float]) -> Legs:
    return Legs([Hit(*item) for item in dense.items()], [Hit(*item) for item in sparse.items()])


def order(fused: Sequence[Ranked]) -> list[UUID]:
    return [candidate.chunk_id for candidate in fused]


def scored(*scores: float) -> list[Ranked]:
    return [
        Ranked(UUID(int=number), score, None, None, None, None)
        for number, score in enumerate(scores, start=1)
    ]


def directions(*degrees: float) -> NDArray[np.float32]:
    """Vectors of a plane: those 20 degrees apart have a cosine of 0.94, at 40 it is 0.77."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


# fuse


def test_nothing_found_is_nothing_ranked() -> None:
    assert fuse(Legs([], [])) == []


def test_one_search_alone_keeps_its_order() -> None:
    assert order(fuse(legs({B: 0.9, A: 0.5, C: 0.4}, {}))) == [B, A, C]
    assert order(fuse(legs({}, {C: 12.0, A: 7.0, B: 1.0}))) == [C, A, B]


def test_a_chunk_of_both_searches_is_ranked_once_with_what_each_said() -> None:
    found = fuse(legs({A: 0.8, B: 0.5}, {C: 9.0, A: 6.0}))
    assert sorted(order(found)) == [A, B, C]
    both = next(candidate for candidate in found if candidate.chunk_id == A)
    assert (both.dense_score, both.dense_rank) == (0.8, 1)
    assert (both.sparse_score, both.sparse_rank) == (6.0, 2)


def test_a_chunk_of_one_search_says_nothing_of_the_other() -> None:
    found = {candidate.chunk_id: candidate for candidate in fuse(legs({A: 0.8}, {B: 9.0}))}
    assert (found[A].sparse_score, found[A].sparse_rank) == (None, None)
    assert (found[B].dense_score, found[B].dense_rank) == (None, None)


def test_being_good_in_both_searches_beats_being_best_in_one() -> None:
    found = fuse(legs({A: 0.8, B: 0.75, D: 0.3, E: 0.2}, {C: 10.0, B: 9.5, D: 2.0, E: 1.0}))
    assert order(found)[0] == B


def test_a_score_far_ahead_counts_for_more_than_its_rank() -> None:
    """By ranks alone, A and B were equal."""
    found = fuse(legs({A: 0.9, B: 0.4, C: 0.39}, {B: 10.0, A: 9.9, C: 1.0}))
    assert order(found)[:2] == [A, B]


def test_scores_lie_between_0_and_1() -> None:
    best, *_, worst = fuse(legs({A: 1.0, B: 0.3, C: -0.2}, {A: 20.0, B: 3.0}))
    assert best.score == pytest.approx(1.0)
    assert worst.score == pytest.approx(0.0)


def test_models_whose_cosines_are_all_high_rank_alike() -> None:
    """Half the distance from 1 each: 0.8, 0.6, 0.2 become 0.9, 0.8, 0.6."""
    words = {C: 9.0, B: 5.0, A: 1.0}
    low = fuse(legs({A: 0.8, B: 0.6, C: 0.2}, words))
    high = fuse(legs({A: 0.9, B: 0.8, C: 0.6}, words))
    assert [c.score for c in high] == pytest.approx([c.score for c in low])
    assert order(high) == order(low)


def test_what_bm25_did_not_return_may_be_as_good_as_the_last_it_did() -> None:
    """Its leg is full: C has perhaps just missed it, and must not fall behind for that."""
    found = {c.chunk_id: c for c in fuse(legs({A: 0.5, C: 0.5}, {A: 10.0, B: 9.0}))}
    assert found[A].score - found[C].score == pytest.approx(0.4 * 0.1)


def test_what_the_dense_search_did_not_return_counts_as_the_last_it_did() -> None:
    found = {c.chunk_id: c for c in fuse(legs({A: 0.5, B: 0.3}, {B: 8.0, C: 8.0}))}
    assert found[C].score == pytest.approx(found[B].score)


def test_a_rare_word_lifts_the_only_chunk_that_has_it() -> None:
    """BM25 returned fewer than there are: the others have nothing in common with the query."""
    found = fuse(legs({A: 0.5, B: 0.45, C: 0.4}, {C: 9.0}))
    assert order(found)[0] == C


def test_equal_scores_keep_the_order_of_the_searches() -> None:
    assert order(fuse(legs({B: 0.5, A: 0.5, C: 0.5}, {}))) == [B, A, C]
    assert order(fuse(legs({}, {B: 5.0, A: 5.0, C: 5.0}))) == [B, A, C]


def test_of_equal_scores_those_come_first_that_have_the_words() -> None:
    assert order(fuse(legs({B: 0.5, A: 0.5}, {D: 2.0, C: 2.0}))) == [D, C, B, A]


@pytest.mark.parametrize("cosine", [1.0, 1.0000001, 0.0, -1.0])
def test_constant_cosines_leave_the_decision_to_bm25(cosine: float) -> None:
    found = fuse(legs({A: cosine, B: cosine, C: cosine}, {C: 3.0, B: 2.0}))
    assert order(found) == [C, B, A]
    assert all(0 <= candidate.score <= 1 for candidate in found)


def test_constant_bm25_scores_leave_the_decision_to_the_cosines() -> None:
    assert order(fuse(legs({B: 0.9, A: 0.5, C: 0.1}, {A: 4.0, B: 4.0, C: 4.0}))) == [B, A, C]


# diversify


def test_nothing_to_choose_from_is_nothing_chosen() -> None:
    assert diversify([], np.array([], dtype=np.float32), [], limit=5) == []


def test_none_are_chosen_when_none_are_wanted() -> None:
    assert diversify(scored(0.9), directions(0), [GUIDE], limit=0) == []


def test_more_may_be_wanted_than_there_are() -> None:
    assert diversify(scored(0.9, 0.8), directions(0, 90), [GUIDE, MEMO], limit=10) == [0, 1]


def test_passages_that_differ_stay_in_the_order_of_their_scores() -> None:
    vectors = directions(0, 40, 80)
    assert diversify(scored(0.9, 0.8, 0.7), vectors, [GUIDE, MANUAL, MEMO], limit=3) == [0, 1, 2]


def test_the_best_comes_first_whatever_the_order_they_come_in() -> None:
    vectors = directions(0, 40, 80)
    assert diversify(scored(0.2, 0.9, 0.5), vectors, [GUIDE, MANUAL, MEMO], limit=2) == [1, 2]


def test_a_copy_comes_after_passages_that_say_something_new() -> None:
    vectors = directions(0, 0, 90)
    assert diversify(scored(0.9, 0.9, 0.65), vectors, [GUIDE, MANUAL, MEMO], limit=2) == [0, 2]


def test_a_copy_is_better_than_what_is_irrelevant() -> None:
    vectors = directions(0, 0, 90)
    assert diversify(scored(0.9, 0.9, 0.1), vectors, [GUIDE, MANUAL, MEMO], limit=2) == [0, 1]


def test_passages_about_the_same_subject_are_no_copies() -> None:
    vectors = directions(0, 30, 90)
    assert diversify(scored(0.9, 0.89, 0.88), vectors, [GUIDE, MANUAL, MEMO], limit=2) == [0, 1]


def test_a_copy_of_any_chosen_passage_is_put_back_not_only_of_the_last() -> None:
    vectors = directions(0, 90, 0, 45)
    documents = [GUIDE, MANUAL, MEMO, UUID(int=20)]
    assert diversify(scored(0.9, 0.85, 0.84, 0.6), vectors, documents, limit=3) == [0, 1, 3]


def test_identical_vectors_are_all_chosen_where_there_is_nothing_else() -> None:
    chosen = diversify(scored(0.5, 0.5, 0.5), directions(0, 0, 0), [GUIDE] * 3, limit=3)
    assert chosen == [0, 1, 2]


def test_one_document_does_not_crowd_out_another_that_is_about_as_good() -> None:
    documents = [GUIDE, GUIDE, GUIDE, MEMO]
    chosen = diversify(scored(0.9, 0.89, 0.88, 0.87), directions(0, 30, 60, 90), documents, limit=3)
    assert chosen == [0, 1, 3]


def test_a_long_document_keeps_its_passages_where_the_others_are_much_worse() -> None:
    documents = [GUIDE, GUIDE, GUIDE, MEMO]
    chosen = diversify(scored(0.9, 0.8, 0.7, 0.4), directions(0, 30, 60, 90), documents, limit=3)
    assert chosen == [0, 1, 2]


def test_documents_keep_the_order_of_their_best_passages() -> None:
    documents = [GUIDE, MANUAL, GUIDE, MEMO]
    chosen = diversify(scored(0.9, 0.8, 0.7, 0.6), directions(0, 30, 60, 90), documents, limit=4)
    firsts = dict.fromkeys(documents[index] for index in chosen)
    assert list(firsts) == [GUIDE, MANUAL, MEMO]
