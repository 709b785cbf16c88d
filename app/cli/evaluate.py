"""`python -m app eval`: how good retrieval and answers are on judged questions."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from app.cli.printing import printable
from app.cli.progress import BarProgress
from app.core.exceptions import InvalidRequest
from app.evaluation.collection import load_collection
from app.evaluation.evaluation import METRICS, evaluate, measurable
from app.evaluation.runs import Difference, Run, compare, load_run, save_run, summarize
from app.knowledge.retrieval import SearchMode
from settings import Settings

__all__ = ["Options", "evaluate_folder"]

# Questions that are told of in each direction; --json has them all.
SHOWN_CHANGES: Final = 10
SHOWN_CHARACTERS: Final = 70


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    mode: SearchMode
    answers: bool
    as_json: bool
    fail_below: Sequence[str]
    save: Path | None
    compare: Path | None


async def evaluate_folder(settings: Settings, folder: Path, options: Options) -> int:
    """Measure, print, and return the exit code: 1 if something is below its floor.

    Raises:
        AppError, StartupError: it can't be measured.
    """
    # Whatever is wrong with the command is told before anything is embedded.
    collection = load_collection(folder)
    floors = _parse_floors(options.fail_below, measurable(collection, answers=options.answers))
    earlier = load_run(options.compare) if options.compare else None
    if options.save and not options.save.parent.is_dir():
        raise InvalidRequest(f"There is no folder {options.save.parent} to save the run in.")
    with BarProgress("done") as progress:
        run = await evaluate(
            settings, collection, progress.stage, mode=options.mode, answers=options.answers
        )
    if options.save:
        save_run(run, options.save)
    differences = compare(run, earlier) if earlier else {}
    if options.as_json:
        typer.echo(json.dumps(summarize(run, differences), indent=2))
    else:
        for line in _report(run, differences):
            typer.echo(line)
    return _check_floors(run, floors)


def _parse_floors(floors: Sequence[str], names: set[str]) -> dict[str, float]:
    parsed = {}
    for floor in floors:
        name, _, value = floor.rpartition("=")
        if name not in METRICS:
            raise InvalidRequest(
                f"--fail-below {floor}: must be METRIC=VALUE, such as ndcg@10=0.70. The metrics "
                f"are {', '.join(METRICS)}."
            )
        if name not in names:
            raise InvalidRequest(
                f"--fail-below {floor}: this collection, asked like this, doesn't measure {name}, "
                f"but {', '.join(metric for metric in METRICS if metric in names)}."
            )
        try:
            parsed[name] = float(value)
        except ValueError:
            raise InvalidRequest(f"--fail-below {floor}: {value!r} is no number.") from None
        if not math.isfinite(parsed[name]):
            # Nothing is below "nan".
            raise InvalidRequest(f"--fail-below {floor}: {value!r} is no floor; it is from 0 to 1.")
    return parsed


def _check_floors(run: Run, floors: Mapping[str, float]) -> int:
    code = 0
    for name, floor in floors.items():
        value = run.metrics[name].mean if name in run.scores else None
        if value is None or value < floor:
            found = "was measured on no question" if value is None else f"is {value:.4f}"
            typer.echo(f"{name} {found}: the floor is {floor:g}.", err=True)
            code = 1
    return code


def _report(run: Run, differences: Mapping[str, Difference]) -> Iterator[str]:
    yield (
        f"{printable(run.collection)}: {len(run.questions):,} questions, {run.corpus:,} documents, "
        f"{run.mode}, {run.embedding_model}"
    )
    yield ""
    yield f"{'metric':<20}{'mean':>8}   95% interval      questions"
    for name, value in run.metrics.items():
        yield (
            f"{name:<20}{value.mean:>8.4f}   {value.low:.4f} to {value.high:.4f}"
            f"{len(run.scores[name]):>9,}"
        )
    latency = "   ".join(f"{name} {value:.1f} ms" for name, value in run.latency.items())
    if latency:
        yield f"{'search':<20} {latency}"
    if differences:
        yield from _report_differences(run, differences)


def _report_differences(run: Run, differences: Mapping[str, Difference]) -> Iterator[str]:
    yield ""
    yield f"{'difference':<20}{'mean':>8}   95% interval        better  worse"
    for name, difference in differences.items():
        mean = difference.mean
        yield (
            f"{name:<20}{mean.mean:>+8.4f}   {mean.low:+.4f} to {mean.high:+.4f}"
            f"{len(difference.better):>8,}{len(difference.worse):>7,}"
        )
    name, first = next(iter(differences.items()))
    for word, changed in (("better", first.better), ("worse", first.worse)):
        if changed:
            yield ""
            yield f"{word} by {name}, the biggest change first:"
        for question in changed[:SHOWN_CHANGES]:
            text = printable(run.questions[question])[:SHOWN_CHARACTERS]
            yield f"  {run.scores[name][question]:.2f}  {printable(question)}  {text}"
