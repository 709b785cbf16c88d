"""Words as search compares them: lower case, stems, without the words of every sentence."""

import re
import unicodedata
from functools import cache

from py_rust_stemmers import SnowballStemmer

__all__ = ["terms", "terms_of_query"]

# Words of a question that say nothing about its answer.
STOP_WORDS = frozenset(
    """
    a about after all also am an and any anyone anything are aren as at be because been before
    being both but by can cannot could couldn d define describe did didn do does doesn doing don
    everyone everything explain far for from get give given go goes had happen happens has hasn
    have haven having he her here hers him his how i if in into is isn it its itself kind kinds
    let ll long m many may me might more most much must my need needs no nor not nothing of often
    old on one only or other our out over own please re s shall she should shouldn so some someone
    something sort sorts such summarize t tell than that the their them then there these they this
    those through to too under up upon us use used ve very want wants was wasn we were weren what
    when where which while who whom whose why will with won would wouldn you your yours
    """.split()  # noqa: SIM905 - as a list literal it would fill four screens
)


def terms(*texts: str) -> frozenset[str]:
    """Return the distinct terms of some texts."""
    return frozenset(_stems(_words(" ".join(texts))))


def terms_of_query(query: str) -> tuple[str, ...]:
    """Return the distinct terms to look for, in order; stop words if there is nothing else."""
    words = _words(query)
    return tuple(dict.fromkeys(_stems([w for w in words if w not in STOP_WORDS] or words)))


def _words(text: str) -> list[str]:
    """Return the words in lower case; of scripts without spaces, the pairs of characters."""
    text = unicodedata.normalize("NFKC", _LINK_TARGET.sub(" ", text)).casefold()
    words = []
    for match in _WORD.finditer(text):
        word = match[0]
        if match["unspaced"] and len(word) > 1:
            words += [word[n : n + 2] for n in range(len(word) - 1)]
        else:
            words.append(word)
    return words


def _stems(words: list[str]) -> list[str]:
    stems: list[str] = _stemmer().stem_words(words)
    return stems


@cache
def _stemmer() -> SnowballStemmer:
    # It leaves words of other languages nearly as they are.
    return SnowballStemmer("english")


# Chinese, Japanese, Thai, Korean.
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f\uac00-\ud7af"
_WORD = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|[^\W_{_UNSPACED}]+")
_LINK_TARGET = re.compile(r"\]\([^)\s]*\)|https?://\S+")
