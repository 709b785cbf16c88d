"""The markers `[n]` with which an answer cites its passages, found while the answer streams by.

A marker is `[1]`, `[1, 2]`, `[1-3]`, `[[1]]`, or a form that some models write: `【1】`,
`【1†source】`. These are none, and stay as they are: code, links `[1](…)`, footnotes `[^1]`,
escaped `\\[1]`, indices such as `rows[0]`, nested lists, and anything longer than `MAX_MARKER`.
A code span ends with its line, lest a backtick without a partner hides the rest of the answer.
"""

import re
from dataclasses import dataclass

__all__ = ["MAX_MARKER", "Marker", "MarkerFilter", "clean"]

MAX_MARKER = 100  # characters; no stream is held up by more

# What is remembered of the text given out: enough to tell an index or a list from a citation.
REMEMBERED = MAX_MARKER


@dataclass(frozen=True, slots=True)
class Marker:
    """A citation of passage `number`, at `start:end` of the text that the filter gave out."""

    number: int
    start: int
    end: int


class MarkerFilter:
    """Rewrites an answer as it streams: known markers become `[n]`, unknown ones go.

    With them go parentheses, asterisks and `<sup>` around nothing else.
    However a text is cut into pieces, the same comes out.

    Args:
        count: the passages are numbered from 1 to this.
    """

    def __init__(self, count: int) -> None:
        self.markers: list[Marker] = []
        # how many pointed nowhere
        self.dropped = 0
        self._count = count
        self._pending = ""  # what may still become a marker
        self._sent = 0
        self._tail = ""  # of what was given out
        self._run = _Run("", begins_line=False)
        self._code: _Code | None = None

    def feed(self, delta: str) -> str:
        """Return what may go out now."""
        self._pending += delta
        return self._drain(is_last=False)

    def finish(self) -> str:
        """Return what was held back: nothing more comes."""
        return self._drain(is_last=True)

    def _drain(self, *, is_last: bool) -> str:
        text, position = self._pending, 0
        out = []
        while position < len(text):
            end, given = self._step(text, position, is_last=is_last)
            if end == position:
                break
            position = end
            out.append(given)
            self._sent += len(given)
            self._tail = (self._tail + given[-REMEMBERED:])[-REMEMBERED:]
        self._pending = text[position:]
        return "".join(out)

    def _step(self, text: str, start: int, *, is_last: bool) -> tuple[int, str]:
        """Return where the next piece ends, and what is given out for it."""
        char = text[start]
        if self._run.text and not self._run.text.endswith(char):
            self._end_run(following=char)
        if run := _RUN.match(text, start):
            if not self._run.text:
                line = self._tail.rpartition("\n")[2]
                self._run.begins_line = bool(_BEFORE_FENCE.fullmatch(line))
            self._run.text = (self._run.text + run[0])[:REMEMBERED]
            return run.end(), run[0]
        if self._code is not None:
            return self._step_in_code(text, start)
        if plain := _PLAIN.match(text, start):
            return plain.end(), plain[0]
        return self._step_at_mark(text, start, is_last=is_last)

    def _step_at_mark(self, text: str, start: int, *, is_last: bool) -> tuple[int, str]:
        """Take a backslash, a bracket, what may wrap one, or a space that those may follow."""
        if text[start] == "\\":
            return self._step_at_backslash(text, start, is_last=is_last)
        mark = start + (text[start] in _SPACES)
        if mark == len(text) and not is_last:
            return start, ""  # the space goes with a marker that is removed
        if text[mark : mark + 1] in _OPENING:
            return self._step_at_bracket(text, start, mark, is_last=is_last)
        if text[mark : mark + 1] in _WRAPPING:
            return self._step_at_wrapping(text, start, mark, is_last=is_last)
        return mark, text[start]

    def _step_in_code(self, text: str, start: int) -> tuple[int, str]:
        if plain := _IN_CODE.match(text, start):
            return plain.end(), plain[0]
        assert self._code is not None
        self._code.is_first_line = False
        if not self._code.is_block:
            self._code = None
        return start + 1, text[start]

    def _step_at_backslash(self, text: str, start: int, *, is_last: bool) -> tuple[int, str]:
        if start + 1 == len(text) and not is_last:
            return start, ""
        end = start + (2 if text[start + 1 : start + 2] in _ESCAPABLE else 1)
        return end, text[start:end]

    def _step_at_bracket(
        self, text: str, start: int, bracket: int, *, is_last: bool
    ) -> tuple[int, str]:
        """Take a marker together with the space before it, or a bracket that opens no marker."""
        rest = text[bracket : bracket + MAX_MARKER + 1]
        marker = _MARKER.match(rest)
        if not is_last and len(rest) <= MAX_MARKER:
            # Behind a marker, a parenthesis would make it a link.
            is_open = marker.end() == len(rest) if marker else _PARTIAL.fullmatch(rest)
            if is_open:
                return start, ""
        space = text[start:bracket]
        if (
            marker is None
            or rest.startswith("(", marker.end())
            or _NO_CITATION_BEHIND.match((self._tail + space)[::-1])
        ):
            return bracket + 1, text[start : bracket + 1]
        return bracket + marker.end(), self._cite(marker["numbers"], space)

    def _step_at_wrapping(
        self, text: str, start: int, mark: int, *, is_last: bool
    ) -> tuple[int, str]:
        """Take unknown markers together with what wraps them, or the first character of that."""
        rest = text[mark : mark + MAX_MARKER + 1]
        wrapping = _WRAPPINGS.match(rest)
        opening = wrapping[0] if wrapping else ""
        left = rest[len(opening) :]
        numbers = []
        while opening and (marker := _MARKER.match(left)):
            numbers.append(marker["numbers"])
            left = left[marker.end() :].lstrip(_SEPARATORS)
        closing = _closing(opening)
        is_target = mark == start and self._tail.endswith(_ENDS_OF_LABELS)  # of a link
        if numbers and left.startswith(closing):
            if not is_target and not any(_known(several, self._count) for several in numbers):
                self.dropped += len(numbers)
                end = mark + len(rest) - len(left) + len(closing)
                return end, self._join()
        elif not is_last and len(rest) <= MAX_MARKER:
            may_follow = closing if numbers else _LONGEST_WRAPPING
            if may_follow.startswith(left) or (opening and _PARTIAL.fullmatch(left)):
                return start, ""
        return mark + 1, text[start : mark + 1]

    def _join(self) -> str:
        """Return what stands for markers that are removed."""
        # The halves of a marker must not meet where this one stood.
        return "…" if _HALF_MARKER.search(self._tail) else ""

    def _cite(self, numbers: str, space: str) -> str:
        known = _known(numbers, self._count)
        if not known:
            self.dropped += 1
            return self._join()
        given = space
        for number in known:
            start = self._sent + len(given)
            given += f"[{number}]"
            self.markers.append(Marker(number, start, self._sent + len(given)))
        return given

    def _end_run(self, following: str) -> None:
        """Open or close code, now that all backticks or tildes of a run are there."""
        run, self._run = self._run, _Run("", begins_line=False)
        is_fence = run.begins_line and len(run.text) >= _SHORTEST_FENCE
        if self._code is None:
            if is_fence or run.text[0] == "`":
                self._code = _Code(run.text, is_block=is_fence, is_first_line=is_fence)
        elif self._code.is_block and not self._code.is_first_line:
            if is_fence and run.text.startswith(self._code.opening) and not following.isalnum():
                self._code = None
        elif run.text == self._code.opening:
            self._code = None  # a span; or a block that turns out to be one: ```like this```


@dataclass(slots=True)
class _Run:
    """Backticks or tildes in a row, as far as they are there."""

    text: str
    begins_line: bool


@dataclass(slots=True)
class _Code:
    opening: str
    is_block: bool
    is_first_line: bool  # the one with the language


def clean(answer: str, count: int) -> tuple[str, list[Marker]]:
    """Return a whole answer as `MarkerFilter` gives it out, with its markers."""
    markers = MarkerFilter(count)
    return markers.feed(answer) + markers.finish(), markers.markers


def _closing(opening: str) -> str:
    """Return what ends a wrapping: `**)` for `(**`."""
    return "".join(_CLOSING.get(one, one) for one in reversed(_WRAPPING_PART.findall(opening)))


def _known(numbers: str, count: int) -> list[int]:
    known: dict[int, None] = {}
    for match in _NUMBER_OR_RANGE.finditer(numbers):
        first, last = sorted((int(match[1]), int(match[2] or match[1])))
        known |= dict.fromkeys(range(max(first, 1), min(last, count) + 1))
    return list(known)


_SHORTEST_FENCE = 3
_OPENING = ("[", "【", "\uff3b")
_ENDS_OF_LABELS = ("]", "】", "\uff3d")
_WRAPPING = ("(", "\uff08", "*", "<")
_CLOSING = {"(": ")", "\uff08": "\uff09", "<sup>": "</sup>"}
_LONGEST_WRAPPING = "<sup>"
_SPACES = (" ", "\u00a0")
_ESCAPABLE = ("[", "`", "~", "\\")

_RUN = re.compile(r"`+|~+")
_BEFORE_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?")
_IN_CODE = re.compile(r"[^`~\n]+")
# A space, or what may wrap a marker, is not plain where a marker may follow.
_PLAIN = re.compile(
    r"(?:[^`~\\\[【\uff3b \u00a0(\uff08*<]"
    r"|[ \u00a0(\uff08*](?![ \u00a0\[【\uff3b(\uff08*<]|\Z)|<(?!s|\Z))+"
)

_DASH = r"\s?[-\u2010-\u2015\u2212]\s?"
_NUMBERS = rf"\d+(?:(?:{_DASH}|[ ]?[,;、\uff0c\uff1b][ ]?)\d+)*"
_MARKER = re.compile(
    rf"(?:(?P<twice>\[\[)|(?P<once>\[)|(?P<lens>【)|\uff3b)[ ]?"
    rf"(?P<numbers>{_NUMBERS})(?:(?::\d+)?†[^\[\]【】\n]*)?"
    r"[ ]?(?(twice)\]\]|(?(once)\]|(?(lens)】|\uff3d)))"
)
_PARTIAL = re.compile(
    r"(?:\[\[?|【|\uff3b)[ ]?"
    r"(?:\d[\d\s,;:、\uff0c\uff1b\u2010-\u2015\u2212-]*(?:†[^\[\]【】\n]*)?\]?)?"
)
_WRAPPING_PART = re.compile(r"[(\uff08*]|<sup>")
_WRAPPINGS = re.compile(r"(?:(?:[(\uff08]|\*{1,3}+|<sup>)[ ]?){1,3}+")
_SEPARATORS = " ,;、\uff0c\uff1b"
_NUMBER_OR_RANGE = re.compile(rf"(\d+)(?:{_DASH}(\d+))?")
_HALF_MARKER = re.compile(r"[\[【\uff3b][ ]?\d[^\[\]【】\uff3d\n]*\Z")

# Names that stand before an index more often than before a citation.
_ARRAYS = "args argv arr array buf choices dict items list lst matrix nums obj rows tuple vec"
# Of what stands before, from its end on: a search from its beginning would try each place.
_NO_CITATION_BEHIND = re.compile(
    rf"(?:\]\d*+\[)*+(?:[a-z](?![\w'\u2019])|(?:{_ARRAYS[::-1].replace(' ', '|')})\b|\w*_\w|\)\()"
    r"|\s*+(?:,?\s*+\][\d\s,.;-]*+\[\s*+)*+\["  # inside a list of lists
)
