"""Chats to look at."""

from collections.abc import Iterator

import pytest

from tests.chat.chats.conversations import Conversations, open_conversations


@pytest.fixture
def conversations(database_url: str) -> Iterator[Conversations]:
    """Begins chats in the test's database."""
    with open_conversations(database_url) as conversations:
        yield conversations
