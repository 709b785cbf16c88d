"""The relevance floor: its trade-off curve, and its weights fitted again.

    python -m benchmarks.relevance FOLDER... [--also FOLDER...] [--svg FILE]

Each folder is a collection as `python -m app eval` takes it; the weights are fitted on the first
ones, product documentation, and only tried on the others. Every collection is also asked questions
of the others, which are off its topic.
"""

import argparse
import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.accounts.models import LOCAL
from app.evaluation.collection import Collection, load_collection
from app.evaluation.knowledge_base import open_knowledge_base
from app.knowledge.relevance import FLOOR, NO_LEAD, Signals, relevance
from app.knowledge.retrieval import Retriever
from benchmarks.curves import draw_curves
from settings import load_settings

FALSE_REFUSALS: Final = 0.05
# Questions that a collection is asked of each other one, and passages found for each question.
OFF_TOPIC: Final = 40
PASSAGES: Final = 5
FOLDS: Final = 10
REPEATS: Final = 10
X_MAX: Final = 0.2

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """The signals of one collection's questions."""

    name: str
    answerable: Sequence[Signals]
    unanswerable: Sequence[Signals]
    off_topic: Sequence[Signals]


async def measure_collection(collection: Collection, others: Iterable[Collection]) -> Measured:
    """Ask a collection everything."""
    off_topic = [
        question
        for other in others
        for question in list(other.questions.values())[:: max(1, len(other.questions) // OFF_TOPIC)]
    ]
    async with open_knowledge_base(
        load_settings(), collection.folder, collection.documents, lambda *_: None
    ) as resources:
        retriever = resources.retriever
        return Measured(
            collection.name,
            await _ask(retriever, collection.questions.values()),
            await _ask(retriever, collection.unanswerable.values()),
            await _ask(retriever, off_topic),
        )


async def _ask(retriever: Retriever, questions: Iterable[str]) -> list[Signals]:
    found = [
        await retriever.search(question, caller=LOCAL, limit=PASSAGES) for question in questions
    ]
    return [one.signals for one in found]


def refused(signals: Sequence[Signals], floor: float = FLOOR) -> float:
    """Return the share of questions that fall below the floor."""
    return float(np.mean([relevance(one) < floor for one in signals])) if signals else float("nan")


def fit(points: Matrix, answered: NDArray[np.bool_]) -> Matrix:
    """Fit a logistic function, both classes weighing the same: the weights, the intercept last."""
    design = np.c_[points, np.ones(len(points))]
    balance = np.where(answered, 0.5 / answered.mean(), 0.5 / (~answered).mean())
    weights = np.zeros(design.shape[1])
    for _ in range(30):  # Newton's method
        chances = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (balance * (answered - chances))
        curvature = (design.T * (balance * chances * (1 - chances))) @ design
        weights += np.linalg.solve(curvature + 1e-6 * np.eye(len(weights)), gradient)
    return weights


def cross_validate(points: Matrix, answered: NDArray[np.bool_]) -> tuple[float, float]:
    """Refit without the questions that are judged: their shares of false and right refusals."""
    random = np.random.default_rng(0)
    shares = []
    for _ in range(REPEATS):
        folds = random.integers(0, FOLDS, len(points))
        below = np.zeros(len(points), dtype=bool)
        for fold in range(FOLDS):
            known = folds != fold
            weights = fit(points[known], answered[known])
            logits = points @ weights[:-1] + weights[-1]
            below[~known] = logits[~known] < np.quantile(logits[known & answered], FALSE_REFUSALS)
        shares.append((below[answered].mean(), below[~answered].mean()))
    false, right = np.mean(shares, axis=0)
    return float(false), float(right)


def curve(answerable: Sequence[Signals], others: Sequence[Signals]) -> list[tuple[float, float]]:
    """Return false and right refusals for each floor that makes a difference, and for ours."""
    floors = sorted({0.0, FLOOR, *(relevance(one) for one in answerable)})
    return [(refused(answerable, floor), refused(others, floor)) for floor in floors]


def _together(measured: Sequence[Measured]) -> tuple[Matrix, NDArray[np.bool_]]:
    answerable = [one for each in measured for one in each.answerable]
    unanswerable = [one for each in measured for one in each.unanswerable]
    points = np.array([_point(one) for one in (*answerable, *unanswerable)], dtype=np.float64)
    return points, np.arange(len(points)) < len(answerable)


def _point(signals: Signals) -> Signals:
    return signals if signals.lead is not None else signals._replace(lead=NO_LEAD)


def _report(measured: Sequence[Measured], fitted: Sequence[Measured]) -> None:
    print(
        f"{'refused below ' + str(FLOOR):22}{'answerable':>18}{'unanswerable':>18}{'off-topic':>18}"
    )
    for one in measured:
        columns = (one.answerable, one.unanswerable, one.off_topic)
        cells = [f"{refused(c):.1%} of {len(c)}" if c else "" for c in columns]
        print(f"{one.name:22}" + "".join(f"{cell:>18}" for cell in cells))
    points, answered = _together(fitted)
    weights = fit(points, answered)
    refitted = 1 / (1 + np.exp(-(points @ weights[:-1] + weights[-1])))
    present = np.array([relevance(Signals(*point)) for point in points])
    named = zip((*Signals._fields, "intercept"), weights, strict=True)
    print("\nfitted: " + ", ".join(f"{name} {weight:.2f}" for name, weight in named))
    for name, chances in (("these", refitted), ("the present weights", present)):
        floor = np.quantile(chances[answered], FALSE_REFUSALS)
        right = (chances[~answered] < floor).mean()
        print(f"with {name}, a floor of {floor:.3f} refuses {FALSE_REFUSALS:.0%} and {right:.1%}")
    false, right = cross_validate(points, answered)
    print(f"cross-validated: {false:.1%} false refusals, {right:.1%} right ones")


def _draw(measured: Sequence[Measured], fitted: Sequence[Measured]) -> str:
    product = [one for each in fitted for one in each.answerable]
    off_topic = [one for each in fitted for one in each.off_topic]
    pairs: Mapping[str, tuple[Sequence[Signals], Sequence[Signals]]] = {
        "off-topic": (product, off_topic)
    } | {each.name: (each.answerable, each.unanswerable) for each in measured if each.unanswerable}
    return draw_curves(
        {name: curve(*pair) for name, pair in pairs.items()},
        {name: (refused(known), refused(unknown)) for name, (known, unknown) in pairs.items()},
        title="Unanswerable questions refused, by the share of answerable ones refused",
        x_label="answerable questions refused",
        y_label="unanswerable questions refused",
        x_max=X_MAX,
        x_marked=FALSE_REFUSALS,
    )


async def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("fit", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--also", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    collections = [load_collection(folder) for folder in (*options.fit, *options.also)]
    measured = [
        await measure_collection(one, [other for other in collections if other is not one])
        for one in collections
    ]
    fitted = measured[: len(options.fit)]
    _report(measured, fitted)
    if options.svg:
        options.svg.write_text(_draw(measured, fitted))


if __name__ == "__main__":
    asyncio.run(main())
