"""Ranges of a text cut to a size, in characters and then in tokens, along the text's structure."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from semantic_text_splitter import MarkdownSplitter, TextSplitter

__all__ = ["Cutter", "Range", "stripped"]

Range = tuple[int, int]  # start and end in the text, end exclusive
# The tokens that embedding each of some ranges would take.
Measure = Callable[[Sequence[Range]], Sequence[int]]

# A twelfth of a passage is half a sentence and says too little alone: `<Steps>`, a fence's opening.
TINY_FRACTION: Final = 12
# Passages cut at once, because the splitter's time grows with the square of a long line's length.
_WINDOW: Final = 10

_Splitter = type[MarkdownSplitter] | type[TextSplitter]


class Cutter:
    """Cuts one text.

    `blocks` are the ranges of its fences and tables, in order: one that fits the size is kept
    whole, one that doesn't is cut at its line ends.
    """

    def __init__(self, text: str, blocks: Sequence[Range], *, markdown: bool) -> None:
        self._text = text
        self._blocks = blocks
        self._splitter: _Splitter = MarkdownSplitter if markdown else TextSplitter

    def cut(self, start: int, end: int, room: int) -> list[Range]:
        """Cut at the best boundaries into ranges of at most `room` characters, none of it blank."""
        ranges: list[Range] = []
        for piece in self._pieces(start, end, room):
            if ranges and piece[1] - ranges[-1][0] <= room:
                ranges[-1] = (ranges[-1][0], piece[1])
            else:
                ranges.append(piece)
        return ranges

    def cut_to_tokens(self, start: int, end: int, limit: int, measure: Measure) -> list[Range]:
        """Cut into ranges of at most `limit` tokens; a single character may take more."""
        tokens, overhead = measure([(start, end), (start, start)])
        if tokens <= limit or end - start <= 1:
            return [(start, end)]
        parts = list(self._around_blocks(start, end, self._blocks_in(start, end)))
        if len(parts) > 1 and _length(parts[0]) < (end - start) // TINY_FRACTION:
            # A heading says too little without what it is the heading of.
            parts[:2] = [(start, parts[1][1])]
        if len(parts) == 1:
            # In about equal parts: nothing is left to be kept whole, and scraps say little.
            number = -(-(tokens - overhead) // max(limit - overhead, 1))
            room = max((end - start) * 11 // (number * 10), 1)
            parts = self.cut(start, end, min(room, end - start - 1))
        ranges: list[Range] = []
        for part in parts:
            for piece in self.cut_to_tokens(*part, limit, measure):
                if ranges and measure([(ranges[-1][0], piece[1])])[0] <= limit:
                    ranges[-1] = (ranges[-1][0], piece[1])
                else:
                    ranges.append(piece)
        return ranges

    def _pieces(self, start: int, end: int, room: int) -> Iterator[Range]:
        # What is cut may begin or end with a scrap: keep room to join it with what it belongs to.
        capacity = room - room // TINY_FRACTION
        blocks = self._blocks_in(start, end)
        is_block = frozenset(blocks).__contains__
        for part in self._around_blocks(start, end, blocks):
            if not is_block(part):
                yield from self._windowed(*part, capacity, self._splitter)
            elif _length(part) <= room:
                yield part
            else:
                # Blank lines first, then line ends; only a longer line is cut at words.
                yield from self._windowed(*part, capacity, TextSplitter)

    def _blocks_in(self, start: int, end: int) -> list[Range]:
        """The blocks between two places, and what is there of those that are cut already."""
        first = bisect_left(self._blocks, start, key=_end_of)
        last = bisect_left(self._blocks, end, lo=first, key=_start_of)
        return [
            (max(start, block_start), min(end, block_end))
            for block_start, block_end in self._blocks[first:last]
        ]

    def _around_blocks(self, start: int, end: int, blocks: Sequence[Range]) -> Iterator[Range]:
        """The blocks and what is between them, without what is blank."""
        for block in blocks:
            yield from self._not_blank(start, block[0])
            yield from self._not_blank(*block)
            start = block[1]
        yield from self._not_blank(start, end)

    def _not_blank(self, start: int, end: int) -> Iterator[Range]:
        start, end = stripped(self._text, start, end)
        if start < end:
            yield start, end

    def _windowed(
        self, start: int, end: int, capacity: int, splitter: _Splitter
    ) -> Iterator[Range]:
        chunk_indices = splitter(capacity).chunk_indices
        while start < end:
            stop = min(start + _WINDOW * capacity, end)
            found = [
                (start + offset, start + offset + len(piece))
                for offset, piece in chunk_indices(self._text[start:stop])
                if piece and not piece.isspace()
            ]
            if stop < end and len(found) > 1:
                # The window's end may have cut the last piece short: it begins the next window.
                stop, _ = found.pop()
            yield from found
            start = stop


def stripped(text: str, start: int, end: int) -> Range:
    """Return a range without the white space at its ends."""
    piece = text[start:end]
    return end - len(piece.lstrip()), start + len(piece.rstrip())


def _start_of(piece: Range) -> int:
    return piece[0]


def _end_of(piece: Range) -> int:
    return piece[1]


def _length(piece: Range) -> int:
    return piece[1] - piece[0]
