"""Answering by quoting: what in the passages best answers a query, each sentence cited.

A unit (see `units`) scores by the share of the query's terms that it has, rare terms weighing more
(IDF over the units at hand); the terms of its headings and of the sentence that leads to it count
partly. Where an embedder is at hand, the mean of this and the cosine similarity counts.
"""

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from anyio import to_thread

from app.chat.prompts import PromptPassage
from app.chat.quoting import render_quotes
from app.chat.terms import terms, terms_of_query
from app.chat.units import Reading, Unit, read_units

__all__ = ["SentenceScorer", "extract_answer"]

# Gives the cosine similarity of a query with each of some sentences.
SentenceScorer = Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]

MAX_QUOTES = 4
# Below these the best unit is no answer. With the second, of answerable questions about
# encyclopedia paragraphs and product documentation 2% are refused, of questions about something
# else all, of questions about the same subject whose answer is missing only 8%: those are for the
# relevance of the passages to tell.
MIN_LEXICAL = 0.33
MIN_FUSED = 0.40
# A unit is quoted beside the best one if it scores nearly as much and says something else.
MIN_SHARE_OF_BEST = 0.7
SAME_TERMS = 0.9

# A term of the query counts fully where a unit has it itself, and less where only its nearest
# heading or the sentence leading to it has it, or a heading farther up. Code seldom says what it is
# for; the words around it do.
NEAR_WEIGHT = 0.6
NEAR_CODE_WEIGHT = 0.9
FAR_WEIGHT = 0.3
RANK_PENALTY = 0.02
DANGLING_PENALTY = 0.5  # "For example:", and then no example; or a question
WEAK_PENALTY = 0.75  # "See the guide for details."

CODE_BONUS = 1.2  # for the commands that a how-to question asks for

MAX_QUERY_CHARACTERS = 2_000
MAX_LIST = 10
MAX_LIST_CHARACTERS = 800
# What an embedder can do in the time of an answer. With more, no better units are found: the best
# are among the best by words.
MAX_SCORED = 10


async def extract_answer(
    query: str, passages: Sequence[PromptPassage], scorer: SentenceScorer | None = None
) -> str | None:
    """Return the best units, `[n]` behind each sentence; None if none fits.

    The passages come best first. In the answer, that with the best unit comes first, and each
    passage's quotes stand in their own order.
    """
    wants_code = bool(_WANTS_CODE.search(query))
    # Many passages take longer to read than others should wait.
    units, weights = await to_thread.run_sync(_read, query, passages, wants_code)
    if scorer is not None:
        units = heapq.nlargest(MAX_SCORED, units, key=lambda unit: unit.score)
        cosines = await scorer(query, [unit.embedded_text for unit in units])
        for unit, cosine in zip(units, cosines, strict=True):
            unit.score = (unit.score + cosine) / 2
    for unit in units:
        if unit.is_dangling:
            unit.score *= DANGLING_PENALTY
        elif unit.is_weak:
            unit.score *= WEAK_PENALTY
        if unit.is_wanted_code:
            unit.score *= CODE_BONUS
    chosen = _choose(units, MIN_FUSED if scorer else MIN_LEXICAL)
    for unit in chosen:
        _quote(unit, weights, wants_steps=wants_code)
    readings = dict.fromkeys(unit.reading for unit in chosen)
    return render_quotes(
        (reading.passage.number, reading.sentences, reading.chosen) for reading in readings
    )


def _read(
    query: str, passages: Sequence[PromptPassage], wants_code: bool
) -> tuple[list[Unit], dict[str, float]]:
    """Return the units, scored by terms, and the terms' weights."""
    units = read_units(passages, wants_code=wants_code)
    weights = _weights(query, units)
    _score_by_terms(units, weights)
    return units, weights


def _weights(query: str, units: Sequence[Unit]) -> dict[str, float]:
    """Weigh the query's terms by their rarity; all together weigh 1."""
    counts = Counter(term for unit in units for term in unit.terms)
    size = len(units)
    weights = {
        term: 1 + math.log((size + 1) / (counts[term] + 1))
        for term in terms_of_query(query[:MAX_QUERY_CHARACTERS])
    }
    total = sum(weights.values())
    return {term: weight / total for term, weight in weights.items()}


def _score_by_terms(units: Sequence[Unit], weights: Mapping[str, float]) -> None:
    for unit in units:
        near_weight = NEAR_CODE_WEIGHT if unit.is_wanted_code else NEAR_WEIGHT
        for term, weight in weights.items():
            if term in unit.terms:
                unit.score += weight
            elif term in unit.near:
                unit.score += near_weight * weight
            elif term in unit.far:
                unit.score += FAR_WEIGHT * weight


def _choose(units: Sequence[Unit], minimum: float) -> list[Unit]:
    """Return what is quoted, best first."""
    if max((unit.score for unit in units), default=0.0) < minimum:
        return []
    for unit in units:
        unit.score -= RANK_PENALTY * unit.reading.rank
    ranked = sorted(units, key=lambda unit: (-unit.score, unit.place))
    chosen: list[Unit] = []
    for unit in ranked:
        if unit.score < MIN_SHARE_OF_BEST * ranked[0].score or len(chosen) == MAX_QUOTES:
            break
        if chosen and (unit.is_dangling or unit.is_weak):
            continue
        if not any(_says_the_same(unit, other) for other in chosen):
            chosen.append(unit)
    return chosen


def _says_the_same(one: Unit, other: Unit) -> bool:
    """Tell whether quoting both would repeat something, or what one of them brings along."""
    if one.reading is other.reading and (_leads_to(one, other) or _leads_to(other, one)):
        return True
    shorter = min(len(one.all_terms), len(other.all_terms))
    return len(one.all_terms & other.all_terms) >= SAME_TERMS * shorter


def _leads_to(lead: Unit, other: Unit) -> bool:
    return any(index in lead.members for index in lead.reading.ancestors(other.members[0]))


def _quote(unit: Unit, weights: Mapping[str, float], *, wants_steps: bool) -> None:
    """Mark what is quoted: the unit, what leads to it, and what it leads to."""
    reading, first = unit.reading, unit.members[0]
    reading.chosen.update(unit.members, reading.ancestors(first))
    if (referred_to := reading.referred_to(first)) is not None:
        reading.chosen.add(referred_to)
    leads = list(unit.members)
    step = reading.sentences[first]
    if wants_steps and step.is_step and step.parent is not None:
        leads.append(step.parent)  # one step without the others is of no use
    room = MAX_LIST_CHARACTERS
    for index in leads:
        for number, entry in enumerate(_entries(reading, index, weights)):
            room -= sum(len(reading.sentences[child].text) for child in entry)
            if number and (number >= MAX_LIST or room < 0):
                break
            reading.chosen.update(entry)


def _entries(reading: Reading, lead: int, weights: Mapping[str, float]) -> list[list[int]]:
    """Return the items, rows or code that a sentence leads to, each with what it leads to itself.

    Of a list or a table only those that have more of the query than the sentence before it, if
    there are such; but all of some steps.
    """
    sentences = reading.sentences
    blocks: dict[int, list[int]] = defaultdict(list)
    for child in reading.led.get(lead, ()):
        blocks[sentences[child].block] += [child, *reading.descendants(child)]
    entries = list(blocks.values())
    if any(sentences[entry[0]].is_step for entry in entries):
        return entries
    said = terms(sentences[lead].text)
    more = [
        sum(weights.get(term, 0.0) for term in terms(*(sentences[i].text for i in entry)) - said)
        for entry in entries
    ]
    least = MIN_SHARE_OF_BEST * max(more, default=0.0)
    return [entry for entry, weight in zip(entries, more, strict=True) if weight >= least]


_WANTS_CODE = re.compile(
    r"\bhow (?:do|can|could|should|would|must) (?:i|we|you|one)\b|\bhow to\b"
    r"|\b(?:code|commands?|examples?|snippets?|syntax)\b",
    re.IGNORECASE,
)
