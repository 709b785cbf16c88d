"""Every number on examples that were worked out by hand."""

import math

import pytest

from app.evaluation.asking import Place
from app.evaluation.collection import Gold
from app.evaluation.metrics import mean_with_interval, score_documents, score_spans


def test_documents_are_scored_as_trec_eval_scores_them() -> None:
    relevant = {"q": {"a": 1, "b": 1}}

    scores = score_documents(relevant, {"q": ["x", "a", "y", "z", "w", "b"]})

    gained, ideal = 1 / math.log2(3) + 1 / math.log2(7), 1 + 1 / math.log2(3)
    assert scores == {
        "ndcg@10": {"q": pytest.approx(gained / ideal)},
        "recall@5": {"q": 0.5},
        "recall@10": {"q": 1.0},
        "recall@100": {"q": 1.0},
        "mrr@10": {"q": 0.5},
    }


def test_what_is_more_relevant_counts_for_more() -> None:
    relevant = {"q": {"a": 1, "b": 3}}

    ndcg = score_documents(relevant, {"q": ["a", "b"]})["ndcg@10"]["q"]

    assert ndcg == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_nothing_below_the_tenth_document_counts_for_ndcg_and_mrr() -> None:
    documents = [f"other{n}" for n in range(10)] + ["a"]

    scores = score_documents({"q": {"a": 1}}, {"q": documents})

    assert {name: of["q"] for name, of in scores.items()} == {
        "ndcg@10": 0.0,
        "recall@5": 0.0,
        "recall@10": 0.0,
        "recall@100": 1.0,
        "mrr@10": 0.0,
    }


def test_a_question_that_finds_nothing_counts_as_zero() -> None:
    scores = score_documents({"q": {"a": 1}, "r": {"a": 1}}, {"q": ["a"], "r": []})

    assert {tuple(of.items()) for of in scores.values()} == {(("q", 1.0), ("r", 0.0))}


def test_ranks_decide_however_many_documents_there_are() -> None:
    documents = [f"{n:03}" for n in range(100)]

    scores = score_documents({"q": {"000": 1}, "r": {"099": 1}}, {"q": documents, "r": documents})

    assert scores["mrr@10"] == {"q": 1.0, "r": 0.0}
    assert scores["recall@100"] == {"q": 1.0, "r": 1.0}


def test_spans_are_scored_by_their_characters() -> None:
    gold = {"q": Gold("a", [(10, 20), (40, 50)])}
    # 15 of the 20 gold characters, 5 of them twice, in 50 that were retrieved
    found = {"q": [Place("a", 5, 25), Place("a", 15, 25), Place("b", 40, 50), Place("a", 45, 55)]}

    scores = score_spans(gold, found)

    assert scores == {
        "gold@5": {"q": 0.0},
        "span_recall@5": {"q": 15 / 20},
        "span_precision@5": {"q": 15 / 50},
        "span_iou@5": {"q": 15 / (50 + 5)},
    }


@pytest.mark.parametrize(
    ("places", "inside"),
    [
        ([Place("a", 10, 20), Place("a", 30, 40)], 1.0),
        ([Place("a", 0, 50)], 1.0),
        ([Place("a", 10, 20)], 0.0),
        # All characters are there, but in halves.
        ([Place("a", 10, 15), Place("a", 15, 20), Place("a", 30, 40)], 0.0),
        ([Place("b", 0, 50)], 0.0),
        ([Place("b", 0, 1)] * 5 + [Place("a", 0, 50)], 0.0),
        ([], 0.0),
    ],
)
def test_gold_is_found_when_each_span_is_inside_one_of_five_passages(
    places: list[Place], inside: float
) -> None:
    scores = score_spans({"q": Gold("a", [(10, 20), (30, 40)])}, {"q": places})

    assert scores["gold@5"] == {"q": inside}


def test_an_interval_holds_the_mean_and_is_the_same_each_time() -> None:
    values = [0.0, 1.0] * 50

    interval = mean_with_interval(values)

    assert interval == mean_with_interval(values)
    assert interval.mean == 0.5
    # 1.96 standard errors of 100 coin flips
    assert interval.low == pytest.approx(0.4, abs=0.02)
    assert interval.high == pytest.approx(0.6, abs=0.02)


def test_equal_values_leave_no_doubt() -> None:
    assert mean_with_interval([0.25] * 3) == (0.25, 0.25, 0.25)
