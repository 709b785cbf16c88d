"""How bytes become text, and which do not."""

import pytest

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.text import decode


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\n", "plain\n"),
        ("Grüße 😀 שלום\n".encode(), "Grüße 😀 שלום\n"),
        ("\ufeff# Grüße\n".encode(), "# Grüße\n"),
        (b"\xff\xfe" + "# Grüße 😀\r\n".encode("utf-16-le"), "# Grüße 😀\r\n"),
        (b"\xfe\xff" + "# Grüße 😀\n".encode("utf-16-be"), "# Grüße 😀\n"),
        (b"a\r\nb\rc\n\x0cd", "a\r\nb\rc\n\x0cd"),
    ],
    ids=["ASCII", "UTF-8", "UTF-8 with BOM", "UTF-16 LE", "UTF-16 BE", "newlines"],
)
def test_unicode_texts_are_read_exactly(content: bytes, text: str) -> None:
    assert decode(content) == (text, None)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["bare", "with BOM"])
def test_windows_1252_is_read_with_a_note(mark: bytes) -> None:
    content = mark + "“Grüße” – 5 €".encode("cp1252")

    assert decode(content) == ("“Grüße” – 5 €", "not UTF-8; read as Windows-1252")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\0\x81", "is not text: it contains NUL bytes"),
        (b"text\0", "is not text: it contains NUL bytes"),
        ("text".encode("utf-16-le"), "is not text: it contains NUL bytes"),
        (b"\xff\xfe" + "a\0b".encode("utf-16-le"), "is not text: it contains NUL bytes"),
        (b"\xff\xfeabc", "begins like UTF-16, but is not: save it as UTF-8"),
        (b"\xff\xfe\x00\xd8", "begins like UTF-16, but is not: save it as UTF-8"),
        ("メモ".encode("shift_jis"), "is neither UTF-8 nor Windows-1252: save it as UTF-8"),
    ],
)
def test_what_is_not_a_text_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(SourceUnusable) as caught:
        decode(content)
    assert str(caught.value) == reason
