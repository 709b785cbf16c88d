"""Runs that are kept, and compared."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.core.exceptions import InvalidRequest
from app.evaluation.asking import Place
from app.evaluation.runs import Run, compare, load_run, save_run
from app.knowledge.retrieval import SearchMode


def run_with(**scores: Mapping[str, float]) -> Run:
    return Run(
        collection="animals",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        mode=SearchMode.HYBRID,
        embedding_model="model",
        recipe="1",
        corpus=3,
        questions={"1": "Why?", "2": "How?"},
        scores={name: dict(of) for name, of in scores.items()},
        documents={"1": ["ducks", "bats"]},
        places={"1": [Place("ducks", 0, 10)]},
        milliseconds={str(n): float(n) for n in range(1, 101)},
    )


def test_a_saved_run_is_read_as_it_was(tmp_path: Path) -> None:
    run = run_with(recall={"1": 0.5})

    save_run(run, tmp_path / "run.json")

    assert load_run(tmp_path / "run.json") == run
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_run_that_cannot_be_saved_leaves_the_earlier_one(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    target.mkdir()

    with pytest.raises(InvalidRequest, match=r"run.json can't be written"):
        save_run(run_with(recall={"1": 0.5}), target)

    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"ndcg@10": 0.7}')

    with pytest.raises(InvalidRequest, match="is no run"):
        load_run(tmp_path / "run.json")
    with pytest.raises(InvalidRequest, match="can't be read: No such file"):
        load_run(tmp_path / "gone.json")


def test_latency_is_told_in_percentiles() -> None:
    latency = run_with(recall={"1": 0.5}).latency

    assert latency == pytest.approx({"p50": 50.5, "p95": 95.05, "p99": 99.01})


def test_a_comparison_names_the_questions_that_changed() -> None:
    earlier = run_with(recall={"1": 0.5, "2": 1.0, "3": 0.2, "4": 0.7, "gone": 1.0})
    later = run_with(recall={"1": 0.6, "2": 0.0, "3": 0.8, "4": 0.7, "new": 0.0})

    difference = compare(later, earlier)["recall"]

    assert difference.better == ["3", "1"]
    assert difference.worse == ["2"]
    assert difference.mean.mean == pytest.approx((0.1 - 1.0 + 0.6 + 0.0) / 4)
    assert difference.mean.low < 0 < difference.mean.high


def test_only_what_both_measured_is_compared() -> None:
    earlier = run_with(recall={"1": 0.5}, mrr={"1": 0.5})
    later = run_with(recall={"1": 0.5}, ndcg={"1": 0.5})

    assert compare(later, earlier).keys() == {"recall"}


def test_runs_without_a_common_question_are_not_compared() -> None:
    with pytest.raises(InvalidRequest, match="nothing in common"):
        compare(run_with(recall={"1": 0.5}), run_with(recall={"2": 0.5}))
