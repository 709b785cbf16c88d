"""Other people's words on a terminal."""

__all__ = ["printable", "printable_lines"]


def printable(text: str) -> str:
    """Return a text without what would move the cursor or end the line."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def printable_lines(text: str) -> str:
    """The same, but lines and tabs stay."""
    return "".join(character if character in "\n\t" else printable(character) for character in text)
