"""What is embedded of a chunk: its parts, each under the chunk's headings, a vector each.

An embedding model that learnt from sentences and paragraphs blurs what stands in a longer text. A
chunk is as near to a query as the best of its windows is.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from app.knowledge.models import embedded_text

if TYPE_CHECKING:
    from app.knowledge.embedding import Embedder

__all__ = ["embed_windows", "mean_vectors", "read_vectors", "windows"]

# In characters, about. With 450 less is found; with 190 more in one collection and less in another,
# for more of the headings to embed: see docs/retrieval.md.
WINDOW: Final = 280
# Where a window may end: after a line, a sentence or a word, the first of them that there is within
# so many characters of where it would end.
_ENDS: Final = (
    (re.compile(r"\n"), 80),
    (re.compile(r"(?<=[.!?])\s"), 120),
    (re.compile(r"\s"), 60),
)


def windows(heading_path: Sequence[str], text: str) -> list[str]:
    """Return the texts to embed of a chunk, one or more, in the order in which they stand in it.

    Without their headings they are the chunk's text again, and none of them is blank if that isn't.
    """
    # What is blank goes with its neighbour.
    starts = [start for start, end in pairwise(_bounds(text)) if text[start:end].strip()]
    ranges = pairwise([0, *starts[1:], len(text)])
    return [embedded_text(heading_path, text[start:end]) for start, end in ranges]


def embed_windows(embedder: "Embedder", chunks: Sequence[Sequence[str]]) -> list[bytes]:
    """Embed the windows of each chunk; blocks.

    Returns for each chunk what is stored: its vectors one after the other, float32, little-endian.
    """
    matrix = embedder.embed([window for chunk in chunks for window in chunk]).astype("<f4")
    ends = np.cumsum([0, *map(len, chunks)]).tolist()
    return [matrix[start:end].tobytes() for start, end in pairwise(ends)]


def read_vectors(stored: bytes, dimensions: int) -> NDArray[np.float32]:
    """Return a chunk's vectors, of (windows, dimensions), from what is stored of it."""
    return np.frombuffer(stored, dtype="<f4").reshape(-1, dimensions)


def mean_vectors(stored: Sequence[bytes], dimensions: int) -> NDArray[np.float32]:
    """Return what chunks are about as a whole: the mean of each one's vectors, L2-normalised.

    Takes what is stored of each; returns float32 of (chunks, dimensions).
    """
    vectors = read_vectors(b"".join(stored), dimensions)
    ends = np.cumsum([0, *(len(one) // (4 * dimensions) for one in stored)])
    means: NDArray[np.float32] = np.add.reduceat(vectors, ends[:-1])
    means /= np.linalg.norm(means, axis=1, keepdims=True).clip(min=1e-12)
    return means


def _bounds(text: str) -> Iterator[int]:
    """Cut a text into equal parts, about; yield where they begin, and its end."""
    count = max(1, round(len(text) / WINDOW))
    start = 0
    yield start
    for number in range(1, count):
        start = _end_near(text, len(text) * number // count, after=start)
        yield start
    yield len(text)


def _end_near(text: str, target: int, *, after: int) -> int:
    for pattern, reach in _ENDS:
        first = max(after + 1, target - reach)
        found = [match.end() for match in pattern.finditer(text, first, target + reach)]
        if found:
            return min(found, key=lambda end: abs(end - target))
    return target
