"""Answers measured: are they given, cited, and refused where the documents don't say?

`answered` and `false_refusals` count the questions that the documents answer, `refused` those that
they don't. Of answers that were given: `gold_in_answer` is 1 where one has the words of every gold
span, `citation_precision` the share of its citations that were verified, and `citation_coverage`
the share of its sentences that are cited, a lead-in with the code or list that it leads to.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from app.accounts.models import LOCAL
from app.chat.constants import NO_DOCUMENTS_FOUND
from app.chat.markers import clean
from app.chat.models import AnswerWithSources, QuestionRequest
from app.chat.sentences import read_sentences
from app.chat.services import ChatService
from app.evaluation.knowledge_base import Progress
from app.evaluation.metrics import Scores
from app.knowledge.retrieval import SearchMode

__all__ = ["ANSWER_METRICS", "cited_share", "has_words", "score_answers"]

ANSWER_METRICS: Final = (
    "answered",
    "false_refusals",
    "refused",
    "gold_in_answer",
    "citation_precision",
    "citation_coverage",
)


async def score_answers(
    chat: ChatService,
    answerable: Mapping[str, str],
    unanswerable: Mapping[str, str],
    gold: Mapping[str, Iterable[str]],
    mode: SearchMode,
    progress: Progress,
) -> dict[str, Scores]:
    """Ask every question with the language model that is configured.

    `gold` has the words that an answer must have, by the id of a question.
    """
    scores: dict[str, Scores] = {name: {} for name in ANSWER_METRICS}
    total = len(answerable) + len(unanswerable)
    for done, (name, question) in enumerate(answerable.items()):
        progress("answering", done, total)
        answer = await chat.ask(QuestionRequest(message=question, mode=mode), LOCAL)
        given = not _is_refusal(answer)
        scores["answered"][name] = float(given)
        scores["false_refusals"][name] = float(not given)
        if given:
            if name in gold:
                has_gold = has_words(answer.message, len(answer.sources), gold[name])
                scores["gold_in_answer"][name] = float(has_gold)
            _score_citations(answer, name, scores)
    for done, (name, question) in enumerate(unanswerable.items(), start=len(answerable)):
        progress("answering", done, total)
        answer = await chat.ask(QuestionRequest(message=question, mode=mode), LOCAL)
        scores["refused"][name] = float(_is_refusal(answer))
    progress("answering", total, total)
    return scores


def cited_share(message: str, sources: int) -> float | None:
    """Return the share of an answer's sentences that a marker follows; None if it has none."""
    text, markers = clean(message, sources)
    total = cited = position = 0
    for marker in markers:
        sentences = read_sentences(text[position : marker.start])
        position = marker.end
        total += len(sentences)
        covered = set()
        last: int | None = len(sentences) - 1 if sentences else None
        while last is not None:
            covered.add(last)
            last = sentences[last].parent
        cited += len(covered)
    total += len(read_sentences(text[position:]))
    return cited / total if total else None


def has_words(message: str, sources: int, words: Iterable[str]) -> bool:
    """Tell whether an answer, without its markers, has all of these words."""
    bare, markers = clean(message, sources)
    for marker in reversed(markers):
        bare = bare[: marker.start].removesuffix(" ") + bare[marker.end :]
    return all(_plain(wanted) in _plain(bare) for wanted in words)


def _score_citations(answer: AnswerWithSources, name: str, scores: dict[str, Scores]) -> None:
    if answer.citations:
        verified = sum(citation.verified for citation in answer.citations)
        scores["citation_precision"][name] = verified / len(answer.citations)
    coverage = cited_share(answer.message, len(answer.sources))
    if coverage is not None:
        scores["citation_coverage"][name] = coverage


def _is_refusal(answer: AnswerWithSources) -> bool:
    return NO_DOCUMENTS_FOUND in answer.message


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
