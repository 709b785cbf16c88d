"""Other people's words on a terminal."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return a text without what would move the cursor or end the line."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
