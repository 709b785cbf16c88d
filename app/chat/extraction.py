"""Answering by quoting: the sentences of the passages that best answer a query, each cited.

A sentence scores by the share of the query's terms that it has, rare terms weighing more (IDF over
the sentences at hand); the terms of its headings and of the sentence that leads to it count partly.
Where an embedder is at hand, the mean of this and the cosine similarity counts.
"""

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.chat.prompts import PromptPassage
from app.chat.sentences import Kind, Sentence, read_sentences
from app.chat.terms import terms, terms_of_query

__all__ = ["SentenceScorer", "extract_answer"]

# Gives the cosine similarity of a query with each of some sentences.
SentenceScorer = Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]

MAX_QUOTES = 4
# Below these the best sentence is no answer. Over encyclopedia paragraphs they keep 93 of 100
# answers; of questions whose answer is not in the context they let one in five pass if the context
# is about the same subject, and one in a hundred if it is not.
MIN_LEXICAL = 0.33
MIN_FUSED = 0.43
# A sentence is quoted beside the best one if it scores nearly as much and says something else.
MIN_SHARE_OF_BEST = 0.6
SAME_TERMS = 0.9

# A term of the query counts fully where a sentence has it itself, and less where only its nearest
# heading or the sentence leading to it has it, or a heading farther up. Code seldom says what it is
# for; the words around it do.
NEAR_WEIGHT = 0.6
NEAR_CODE_WEIGHT = 0.9
FAR_WEIGHT = 0.3
RANK_PENALTY = 0.02
DANGLING_PENALTY = 0.5  # "For example:", and then no example

CODE_BONUS = 1.2  # for the commands that a how-to question asks for

# What is read at most, so that the event loop is never held for long.
MAX_CHARACTERS = 50_000
MAX_SENTENCES = 1_000
MAX_QUERY_CHARACTERS = 2_000
MAX_QUOTE_CHARACTERS = 1_000  # a longer sentence or code block is no quotation
MAX_LIST = 10
MAX_SCORED = 64  # what an embedder can do in the time of an answer


@dataclass(slots=True)
class _Candidate:
    """A sentence, and the list or the code that is quoted with it."""

    sentence: Sentence
    led: list[Sentence]
    number: int  # of its passage
    place: tuple[int, int]  # its passage's rank and its index there
    is_wanted_code: bool  # or brings it
    terms: frozenset[str]
    near: frozenset[str]
    far: frozenset[str]
    score: float = 0.0


async def extract_answer(
    query: str, passages: Sequence[PromptPassage], scorer: SentenceScorer | None = None
) -> str | None:
    """Return the best sentences in reading order, `[n]` behind each; None if none fits.

    The passages come best first.
    """
    wants_code = bool(_WANTS_CODE.search(query))
    candidates = _read(passages, wants_code=wants_code)
    _score_by_terms(query, candidates)
    if scorer is not None:
        candidates = heapq.nlargest(MAX_SCORED, candidates, key=lambda c: c.score)
        cosines = await scorer(query, [c.sentence.text for c in candidates])
        for candidate, cosine in zip(candidates, cosines, strict=True):
            candidate.score = (candidate.score + cosine) / 2
    for candidate in candidates:
        if candidate.sentence.is_lead and not candidate.led:
            candidate.score *= DANGLING_PENALTY
        if candidate.is_wanted_code:
            candidate.score *= CODE_BONUS
    return _render(_choose(candidates, MIN_FUSED if scorer else MIN_LEXICAL)) or None


def _read(passages: Sequence[PromptPassage], *, wants_code: bool) -> list[_Candidate]:
    candidates = []
    read, room = 0, MAX_CHARACTERS
    for rank, passage in enumerate(passages):
        sentences = read_sentences(passage.text[:room])[: MAX_SENTENCES - read]
        room -= min(room, len(passage.text))
        read += len(sentences)
        led = _led(sentences, wants_code=wants_code)
        for index, sentence in enumerate(sentences):
            is_code = sentence.kind is Kind.CODE
            if len(sentence.text) > MAX_QUOTE_CHARACTERS or (is_code and not wants_code):
                continue
            if is_code and sentence.parent is not None:
                continue  # its lead brings it along
            lead = "" if sentence.parent is None else sentences[sentence.parent].text
            headings = sentence.headings or passage.heading_path
            code = [other.text for other in led[index] if other.kind is Kind.CODE]
            candidates.append(
                _Candidate(
                    sentence=sentence,
                    led=led[index],
                    number=passage.number,
                    place=(rank, index),
                    is_wanted_code=wants_code and (is_code or bool(code)),
                    terms=terms(sentence.text),
                    near=terms(*headings[-1:], sentence.table_header, lead, *code),
                    far=terms(passage.title, *passage.heading_path, *headings),
                )
            )
    return candidates


def _led(sentences: Sequence[Sentence], *, wants_code: bool) -> dict[int, list[Sentence]]:
    """Return what is quoted with each sentence: the list behind its colon, the code below it."""
    led: dict[int, list[Sentence]] = defaultdict(list)
    for sentence in sentences:
        if sentence.parent is None or len(sentence.text) > MAX_QUOTE_CHARACTERS:
            continue
        lead = sentences[sentence.parent]
        if sentence.kind is not Kind.CODE or wants_code or lead.is_lead:
            led[sentence.parent].append(sentence)
            if sentence.kind is Kind.CODE and lead.parent is not None:
                led[lead.parent].append(sentence)  # the code of a step in a list
    return led


def _score_by_terms(query: str, candidates: Sequence[_Candidate]) -> None:
    query_terms = terms_of_query(query[:MAX_QUERY_CHARACTERS])
    counts = Counter(term for candidate in candidates for term in candidate.terms)
    size = len(candidates)
    weights = {term: 1 + math.log((size + 1) / (counts[term] + 1)) for term in query_terms}
    total = sum(weights.values()) or 1.0
    for candidate in candidates:
        near_weight = NEAR_CODE_WEIGHT if candidate.is_wanted_code else NEAR_WEIGHT
        for term, weight in weights.items():
            if term in candidate.terms:
                candidate.score += weight / total
            elif term in candidate.near:
                candidate.score += near_weight * weight / total
            elif term in candidate.far:
                candidate.score += FAR_WEIGHT * weight / total


def _choose(candidates: Sequence[_Candidate], minimum: float) -> list[_Candidate]:
    if max((candidate.score for candidate in candidates), default=0.0) < minimum:
        return []
    for candidate in candidates:
        candidate.score -= RANK_PENALTY * candidate.place[0]
    ranked = sorted(candidates, key=lambda c: (-c.score, c.place))
    chosen: list[_Candidate] = []
    for candidate in ranked:
        if candidate.score < MIN_SHARE_OF_BEST * ranked[0].score or len(chosen) == MAX_QUOTES:
            break
        if not any(_says_the_same(candidate, other) for other in chosen):
            chosen.append(candidate)
    return sorted(chosen, key=lambda c: c.place)


def _says_the_same(one: _Candidate, other: _Candidate) -> bool:
    if one.led or other.led:
        texts = {sentence.text for sentence in (one.sentence, *one.led)}
        return any(sentence.text in texts for sentence in (other.sentence, *other.led))
    shorter = min(len(one.terms), len(other.terms))
    return len(one.terms & other.terms) >= SAME_TERMS * shorter


def _render(chosen: Sequence[_Candidate]) -> str:
    answer = ""
    before: _Candidate | None = None
    for candidate in chosen:
        if before is not None:
            goes_on = (
                before.place[0] == candidate.place[0]
                and before.sentence.block == candidate.sentence.block
                and not before.led
            )
            answer += " " if goes_on else "\n\n"
        answer += _quote(candidate)
        before = candidate
    return answer


def _quote(candidate: _Candidate) -> str:
    cite = f"[{candidate.number}]"
    text, led = candidate.sentence.text, candidate.led[:MAX_LIST]
    if candidate.sentence.kind is Kind.CODE:
        return f"{text}\n\n{cite}"
    if led and led[0].kind is Kind.CODE:
        return f"{text}\n\n{led[0].text}\n\n{cite}"
    quote = f"{text} {cite}"
    for sentence in led:
        if sentence.kind is Kind.CODE:
            quote += f"\n\n{sentence.text}\n\n{cite}\n"
        elif sentence.marker or sentence.kind is Kind.ROW:
            marker = sentence.marker if sentence.marker[:1].isdigit() else "-"
            quote += f"\n{marker} {sentence.text} {cite}"
        else:
            quote += f" {sentence.text} {cite}"
    return quote.rstrip()


_WANTS_CODE = re.compile(
    r"\bhow (?:do|can|could|should|would|must) (?:i|we|you|one)\b|\bhow to\b"
    r"|\b(?:code|commands?|examples?|snippets?|syntax)\b",
    re.IGNORECASE,
)
