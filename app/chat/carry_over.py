"""What a question leaves to those before it, added without a language model.

"And how do I delete one?" after "How do I create a workflow?" becomes "And how do I delete one?
workflow". A question that stands by itself stays as it is: words of another subject would lead the
search astray. It is told by what English says in place of things; questions in other languages,
but for those that begin with their "and", are taken to stand by themselves.
"""

import re
from collections.abc import Sequence
from typing import Final

from app.chat.terms import STOP_WORDS, terms, terms_of_query

__all__ = ["carry_over"]

# What is longer says enough by itself.
MAX_QUESTION: Final = 300
MAX_CARRIED: Final = 300
# A pronoun behind more than these terms stands for something in its own question.
MAX_BEFORE_PRONOUN: Final = 2
MAX_AFTER_AND: Final = 4
# In other languages, all words count.
MAX_WORDS_AFTER_AND: Final = 8


def carry_over(question: str, earlier: Sequence[str]) -> str:
    """Return a question with the words that it leaves to earlier ones, which come oldest first."""
    subject = ""
    for text in earlier:
        if not _SMALL_TALK.fullmatch(text):
            subject = _complete(text, subject)
    return _complete(question, subject)


def _complete(question: str, subject: str) -> str:
    if not subject or not _depends(question):
        return question
    carried = " ".join(_carried(question, subject))[:MAX_CARRIED]
    return f"{carried}: {question}" if carried else question


def _depends(question: str) -> bool:
    if len(question) > MAX_QUESTION:
        return False
    if all(word in STOP_WORDS for word in _WORD.findall(question.casefold())):
        return True
    if _AND.match(question) and len(terms_of_query(question)) <= MAX_AFTER_AND:
        return True
    if _AND_ELSEWHERE.match(question) and len(question.split()) <= MAX_WORDS_AFTER_AND:
        return True
    if _AT_END.search(question):
        return True
    sentence = _EXPLETIVE.sub(" ", question)
    pronoun = _PRONOUN.search(sentence)
    return pronoun is not None and _content(sentence[: pronoun.start()]) <= MAX_BEFORE_PRONOUN


def _content(text: str) -> int:
    return sum(word not in STOP_WORDS for word in _WORD.findall(text.casefold()))


def _carried(question: str, subject: str) -> list[str]:
    """Return the words of a subject that say something and that the question does not replace."""
    if instead := _INSTEAD.match(question):
        subject = re.sub(rf"\b{instead[1]}\b.*", "", subject, count=1, flags=re.IGNORECASE)
    if _VERB.search(question):
        subject = _VERB.sub(" ", subject)
    known = terms(question)
    carried: dict[frozenset[str], str] = {}
    for match in _TOKEN.finditer(subject):
        word = match[0].strip("._-")
        new = terms(word) - known
        if new and word.casefold() not in STOP_WORDS:
            carried.setdefault(frozenset(new), word)
    return list(carried.values())


_WORD = re.compile(r"[^\W_]+")
_TOKEN = re.compile(r"[\w./-]+")
_AND = re.compile(
    r"\s*(?:and|or|but|also|then|so|what (?:about|if|else)|how about)\b",
    re.IGNORECASE,
)
_AND_ELSEWHERE = re.compile(r"\W*(?:und|et|y|och|og|en|и)\b", re.IGNORECASE)
_INSTEAD = re.compile(
    r"\s*(?:and|or|but|what about|how about)\s+(from|for|in|on|with|to|by|at|of|after|without)\b",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:(?:do|does|did|can|could|should|would|must|may|might|will|shall)"
    r" (?:i|we|you|they|it|one)(?: not| rather| also)?|how to|(?:want|need|have) to) [a-z]+\b",
    re.IGNORECASE,
)
# "is it possible", which stands for nothing.
_EXPLETIVE = re.compile(
    r"\b(?:is|was|would|be) it (?:\w+ )?(?:possible|necessary|safe|ok|okay|better|best|recommended|"
    r"allowed|enough|required|bad|good|worth|idea|problem|true)\b",
    re.IGNORECASE,
)
_END = r"(?=\s*(?:[?.!,;:)]|$))"
_SMALL_TALK = re.compile(
    r"(?:\W*\b(?:thanks?|thx|you|a lot|very much|ok|okay|great|good|nice|perfect|cool|yes|no|hi|"
    r"hello)\b)*\W*",
    re.IGNORECASE,
)
_AT_END = re.compile(
    r"\b(?:there|then|too|instead|else|otherwise|as well|another|the same)\W*$", re.IGNORECASE
)
_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|theirs|this|these|those|ones|do so|the (?:others?|former|latter|"
    r"rest))\b"
    r"|\bone\b(?=\s*(?:[?.!,;:)]|$|(?:do|does|is|was|has|can|should|for|with|in|on|to|from)\b))"
    rf"|\bthat\b(?:{_END}|(?=\s+(?:is|was|does|do|work|works|mean|means|one|when|while|if|for|in|"
    r"with|to|too)\b))",
    re.IGNORECASE,
)
