"""How long the stages of a question and of a document take: timed in one place, told to listeners.

    with stage("question.embed", timings):
        vector = await embedder.embed_query(query)

fills `timings["embed"]`, which the answer's trace tells, and tells whoever listens: the histogram
of the stage (`metrics.py`) and the trace (`tracing.py`). Without listeners it costs a microsecond.
Stages of documents run in processes of their own, which hand them to the worker with their result.
"""

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = ["Fact", "Listener", "Timed", "listen", "stage", "tell"]

Fact = str | int | float


@dataclass(frozen=True, slots=True)
class Timed:
    """A stage that has ended; it can be pickled. Facts are numbers and names, nobody's texts."""

    name: str
    # Unix time
    began_ns: int
    seconds: float
    failed: bool = False
    facts: dict[str, Fact] = field(default_factory=dict)


Listener = Callable[[Timed], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have a listener told of every stage of this process from now on; once is enough."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(timed: Timed) -> None:
    """Tell of a stage that has ended here or elsewhere."""
    for listener in _listeners:
        listener(timed)


class stage:  # noqa: N801 -- it reads as a statement
    """Times what stands in the block, or what lies between `stage(...)` and `end()`.

    Args:
        name: `question.…` or `document.…`; of a fixed set, since it is a metric's label.
        timings: where the stage's last word is to have its milliseconds.
        facts: what a trace tells of it.
    """

    __slots__ = ("_began", "_began_ns", "_has_ended", "_name", "_timings", "facts")

    def __init__(
        self,
        name: str,
        timings: MutableMapping[str, float] | None = None,
        **facts: Fact,
    ) -> None:
        self._name = name
        self._timings = timings
        self.facts = facts
        self._has_ended = False
        self._began_ns = time.time_ns()
        self._began = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Who cancels, or leaves, is no failure of the stage.
        self.end(failed=isinstance(exc, Exception))

    def end(self, *, failed: bool = False) -> None:
        """End it; a second time nothing happens."""
        if self._has_ended:
            return
        self._has_ended = True
        seconds = time.perf_counter() - self._began
        if self._timings is not None:
            self._timings[self._name.rpartition(".")[2]] = round(seconds * 1_000, 2)
        if _listeners:
            tell(Timed(self._name, self._began_ns, seconds, failed, self.facts))
