"""Questions of clients that keep their conversations themselves, and send all of it each time."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.chat.past import PastMessage
from app.chat.provenance import Wishes

__all__ = ["GivenQuestion"]


@dataclass(frozen=True, slots=True)
class GivenQuestion:
    """A question with the messages before it, oldest first, none of which is stored."""

    text: str
    model: str
    past: Sequence[PastMessage]
    wishes: Wishes
