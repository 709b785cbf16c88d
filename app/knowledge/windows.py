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

__all__ = ["embed_windows", "mean_vector", "read_vectors", "windows"]

# Of a chunk, in characters, and about: with 190 and with 450 less is found, see docs/retrieval.md.
WINDOW: Final = 280
# Where a window may end: after a line, a sentence or a word, the first of them that there is within
# so many characters of where it would end.
_ENDS: Final = ((re.compile(r"\n"), 80), (re.compile(r"(?<=[.!?])\s"), 120), (re.compile(r"\s"), 60))


def windows(heading_path: Sequence[str], text: str) -> list[str]:
    """Return the texts to embed of a chunk, one or more, in the order in which they stand in it.

    Without their headings they are the chunk's text again, and none of them is blank if that isn't.
    """
    parts: list[str] = []
    for start, end in pairwise(_bounds(text)):
        if parts and not (parts[-1].strip() and text[start:end].strip()):
            parts[-1] += text[start:end]
        else:
            parts.append(text[start:end])
    return [embedded_text(heading_path, part) for part in parts]


def embed_windows(embedder: "Embedder", chunks: Sequence[Sequence[str]]) -> list[bytes]:
    """Embed the windows of each chunk; blocks.

    Returns for each chunk what is stored: its vectors one after the other, float32, little-endian.
    """
    matrix = embedder.embed([window for chunk in chunks for window in chunk]).astype("<f4")
    ends = np.cumsum([0, *map(len, chunks)]).tolist()
    return [matrix[start:end].tobytes() for start, end in pairwise(ends)]


def read_vectors(stored: bytes, dimensions: int) -> NDArray[np.float32]:
    """Return the vectors of a chunk, of (windows, dimensions), from what is stored.

    Raises:
        ValueError: it isn't one vector or more of so many dimensions.
    """
    vectors = np.frombuffer(stored, dtype="<f4").reshape(-1, dimensions)
    if not len(vectors):
        raise ValueError("no vector")
    return vectors


def mean_vector(stored: bytes, dimensions: int) -> NDArray[np.float32]:
    """Return what a chunk as a whole is about: the mean of its vectors, L2-normalised."""
    mean: NDArray[np.float32] = read_vectors(stored, dimensions).mean(axis=0)
    norm = np.linalg.norm(mean)
    return mean / norm if norm else mean


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
