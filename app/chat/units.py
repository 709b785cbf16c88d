"""Passages cut into what an answer quotes whole: a sentence, a list item, a table row, code."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

from app.chat.prompts import PromptPassage
from app.chat.sentences import Kind, Sentence, read_sentences
from app.chat.terms import terms

__all__ = ["Reading", "Unit", "read_units"]

# What is read at most, so that the event loop is never held for long.
MAX_CHARACTERS = 50_000
MAX_SENTENCES = 1_000
MAX_QUOTE_CHARACTERS = 1_000  # a longer sentence or code block is no quotation
MAX_GROUP_CHARACTERS = 500  # a longer list item or paragraph is taken sentence by sentence


@dataclass(slots=True, eq=False)
class Reading:
    """A passage in sentences.

    `led` are the sentences that each one leads to, and `chosen` those that are quoted.
    """

    passage: PromptPassage
    rank: int
    sentences: list[Sentence]
    led: dict[int, list[int]]
    chosen: set[int] = field(default_factory=set)

    def ancestors(self, index: int) -> Iterator[int]:
        """Yield the sentences that lead to one, the nearest first."""
        parent = self.sentences[index].parent
        while parent is not None and len(self.sentences[parent].text) <= MAX_QUOTE_CHARACTERS:
            yield parent
            parent = self.sentences[parent].parent

    def descendants(self, index: int) -> Iterator[int]:
        """Yield what a sentence leads to, and what that leads to, in their order."""
        for child in self.led.get(index, ()):
            yield child
            yield from self.descendants(child)

    def referred_to(self, index: int) -> int | None:
        """Return the sentence before one that begins with a word such as "This" or "It"."""
        before = index - 1
        if before < 0 or self.sentences[before].block != self.sentences[index].block:
            return None
        if len(self.sentences[before].text) > MAX_QUOTE_CHARACTERS:
            return None
        return before if _REFERS_BACK.match(self.sentences[index].text) else None


@dataclass(slots=True, eq=False)
class Unit:
    """Sentences that are quoted together: indices into those of its passage.

    The terms are its own, those of its nearest heading and of what leads to it, those of its other
    headings, and its own with those of what it leads to.
    """

    reading: Reading
    members: list[int]
    is_wanted_code: bool  # or leads to it
    terms: frozenset[str]
    near: frozenset[str]
    far: frozenset[str]
    all_terms: frozenset[str]
    score: float = 0.0

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: its passage's rank, and its index there."""
        return self.reading.rank, self.members[0]

    @property
    def text(self) -> str:
        """Its sentences in one line."""
        return " ".join(self.reading.sentences[index].text for index in self.members)

    @property
    def embedded_text(self) -> str:
        """What its meaning is taken from: a heading says what a sentence is about."""
        passage, first = self.reading.passage, self.reading.sentences[self.members[0]]
        headings = first.headings or passage.heading_path or (passage.title,)
        return f"{headings[-1]}: {self.text}" if headings[-1] else self.text

    @property
    def is_dangling(self) -> bool:
        """Tell whether it only asks, or leads to something that is not there."""
        last = self.reading.sentences[self.members[-1]]
        return last.is_question or (last.is_lead and not self.reading.led[self.members[-1]])

    @property
    def is_weak(self) -> bool:
        """Tell whether it rather says where to look: a title above other text, a pointer."""
        last, sentences = self.members[-1], self.reading.sentences
        is_title = sentences[last].is_title and last + 1 < len(sentences)
        return is_title or bool(_POINTER.match(self.text))


def read_units(passages: Sequence[PromptPassage], *, wants_code: bool) -> list[Unit]:
    """Cut passages into units, in their order; of code only what is wanted stands by itself."""
    units: list[Unit] = []
    read, room = 0, MAX_CHARACTERS
    for rank, passage in enumerate(passages):
        sentences = read_sentences(passage.text[:room])[: MAX_SENTENCES - read]
        room -= min(room, len(passage.text))
        read += len(sentences)
        led = _led(sentences, wants_code=wants_code)
        units += _units(Reading(passage, rank, sentences, led), wants_code=wants_code)
    return units


def _led(sentences: Sequence[Sentence], *, wants_code: bool) -> dict[int, list[int]]:
    """Return what is quoted with each sentence: the list behind its colon, the code below it."""
    led: dict[int, list[int]] = defaultdict(list)
    for index, sentence in enumerate(sentences):
        if sentence.parent is None or len(sentence.text) > MAX_QUOTE_CHARACTERS:
            continue
        if sentence.kind is not Kind.CODE or wants_code or sentences[sentence.parent].is_lead:
            led[sentence.parent].append(index)
    return led


def _units(reading: Reading, *, wants_code: bool) -> Iterator[Unit]:
    sentences, passage = reading.sentences, reading.passage
    shared_terms = cache(terms)  # headings and leads are those of many units
    far = terms(passage.title, *passage.heading_path)
    for members in _members(reading, wants_code=wants_code):
        first = sentences[members[0]]
        is_code = first.kind is Kind.CODE
        text = " ".join(sentences[index].text for index in members)
        if len(text) > MAX_QUOTE_CHARACTERS or (is_code and not wants_code):
            continue
        if is_code and first.parent is not None:
            continue  # its lead brings it along
        headings = first.headings or passage.heading_path
        before = [sentences[index].text for index in reading.ancestors(members[0])]
        if (referred_to := reading.referred_to(members[0])) is not None:
            before.append(sentences[referred_to].text)
        brought = [sentences[child] for index in members for child in reading.descendants(index)]
        code = [sentence.text for sentence in brought if sentence.kind is Kind.CODE]
        own = terms(text)
        yield Unit(
            reading,
            members,
            is_wanted_code=wants_code and (is_code or bool(code)),
            terms=own,
            near=shared_terms(*headings[-1:], first.table_header, *before, *code),
            far=far | shared_terms(*headings),
            all_terms=own | shared_terms(*(sentence.text for sentence in brought)),
        )


def _members(reading: Reading, *, wants_code: bool) -> Iterator[list[int]]:
    """Group the sentences of an item, or of a paragraph above wanted code, if they are not long."""
    sentences = reading.sentences
    by_block = groupby(range(len(sentences)), key=lambda index: sentences[index].block)
    for _, group in by_block:
        members = list(group)
        leads_to_code = wants_code and any(
            sentences[child].kind is Kind.CODE for child in reading.led.get(members[-1], ())
        )
        characters = sum(len(sentences[index].text) for index in members)
        if (sentences[members[0]].marker or leads_to_code) and characters <= MAX_GROUP_CHARACTERS:
            yield members
        else:
            yield from ([index] for index in members)


_REFERS_BACK = re.compile(
    r"(?:it|its|this|that|these|those|they|their|he|his|she|her)\b", re.IGNORECASE
)
_POINTER = re.compile(
    r"\W*(?:see|read|learn|refer to|check out|for (?:more|further|details))\b", re.IGNORECASE
)
