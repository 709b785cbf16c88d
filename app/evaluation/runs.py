"""A run: what was measured, question by question. It can be kept, and compared with a later one."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ValidationError

from app.core.exceptions import InvalidRequest
from app.evaluation.asking import Place
from app.evaluation.metrics import Interval, Scores, mean_with_interval
from app.knowledge.retrieval import SearchMode

__all__ = ["Difference", "Run", "compare", "load_run", "save_run", "summarize"]

_PERCENTILES: Final = (50, 95, 99)


class Run(BaseModel):
    """One evaluation; everything is by the id of the question.

    `scores` has a metric's value for each question that it was measured on, `documents` and
    `places` what was found, best first, and `milliseconds` how long a search for the top took.
    """

    collection: str
    created_at: datetime
    mode: SearchMode
    embedding_model: str
    recipe: str
    corpus: int
    questions: Mapping[str, str]
    scores: Mapping[str, Scores]
    documents: Mapping[str, Sequence[str]]
    places: Mapping[str, Sequence[Place]]
    milliseconds: Mapping[str, float]

    @property
    def metrics(self) -> dict[str, Interval]:
        """Return each metric's mean, with its 95% interval."""
        return {name: mean_with_interval(of.values()) for name, of in self.scores.items()}

    @property
    def latency(self) -> dict[str, float]:
        """Return percentiles of the time that a search takes, in milliseconds."""
        times = list(self.milliseconds.values())
        return {f"p{p}": float(np.percentile(times, p)) for p in _PERCENTILES} if times else {}


@dataclass(frozen=True, slots=True)
class Difference:
    """How a metric differs on the questions that both runs asked; ids, biggest change first."""

    mean: Interval
    better: list[str]
    worse: list[str]


def compare(run: Run, earlier: Run) -> dict[str, Difference]:
    """Return what has changed since an earlier run, by metric.

    Raises:
        InvalidRequest: they have no question in common.
    """
    differences = {}
    for name, scores in run.scores.items():
        before = earlier.scores.get(name, {})
        changes = {
            question: value - before[question]
            for question, value in scores.items()
            if question in before
        }
        if changes:
            ordered = sorted(changes, key=lambda question: abs(changes[question]), reverse=True)
            differences[name] = Difference(
                mean=mean_with_interval(changes.values()),
                better=[question for question in ordered if changes[question] > 0],
                worse=[question for question in ordered if changes[question] < 0],
            )
    if not differences:
        raise InvalidRequest(
            f"The runs have nothing in common: the earlier one is of {earlier.collection}."
        )
    return differences


def save_run(run: Run, path: Path) -> None:
    """Write a run to a file, whole or not at all.

    Raises:
        InvalidRequest: the file can't be written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(run.model_dump_json(indent=1), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise InvalidRequest(f"{path} can't be written: {error.strerror}.") from error


def load_run(path: Path) -> Run:
    """Read a run that was saved.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        return Run.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path} can't be read: {error.strerror}.") from error
    except ValidationError:
        raise InvalidRequest(f"{path} is no run that was saved with --save.") from None


def summarize(run: Run, differences: Mapping[str, Difference]) -> dict[str, Any]:
    """Return what `--json` prints."""
    metrics = run.metrics
    return {
        "collection": run.collection,
        "mode": run.mode,
        "embedding_model": run.embedding_model,
        "documents": run.corpus,
        "questions": len(run.questions),
        **{name: _rounded(value.mean) for name, value in metrics.items()},
        "intervals": {
            name: [_rounded(value.low), _rounded(value.high)] for name, value in metrics.items()
        },
        "measured_on": {name: len(scores) for name, scores in run.scores.items()},
        "latency_ms": {name: round(value, 2) for name, value in run.latency.items()},
        "differences": {
            name: {
                "mean": _rounded(difference.mean.mean),
                "interval": [_rounded(difference.mean.low), _rounded(difference.mean.high)],
                "better": difference.better,
                "worse": difference.worse,
            }
            for name, difference in differences.items()
        },
    }


def _rounded(value: float) -> float:
    return round(value, 4)
