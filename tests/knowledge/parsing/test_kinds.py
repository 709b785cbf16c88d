"""What a document is, whatever it is called."""

import pytest

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.kinds import kind_of
from app.knowledge.parsing.models import Kind
from tests.knowledge.parsing.documents import docx, paragraph, pdf, zipped

HTML = b"<!DOCTYPE html>\n<html><body><p>Words.</p></body></html>"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pdf("Words."), Kind.PDF),
        (b"\0\1junk before the header\n" + pdf("Words."), Kind.PDF),
        (docx(paragraph("Words.")), Kind.DOCX),
        (HTML, Kind.HTML),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a page -->\n<HTML lang="en">', Kind.HTML),
        (HTML.decode().encode("utf-16"), Kind.HTML),
    ],
)
@pytest.mark.parametrize("path", ["notes.md", "notes.txt", "notes.pdf", "notes.png", "notes"])
def test_content_decides_and_not_the_name(data: bytes, kind: Kind, path: str) -> None:
    assert kind_of(data, path, "text/plain") is kind


@pytest.mark.parametrize(
    ("path", "media_type", "kind"),
    [
        ("a.md", None, Kind.MARKDOWN),
        ("a/README.MD", None, Kind.MARKDOWN),
        ("a.mdx", None, Kind.MDX),
        ("a.rst", None, Kind.RST),
        ("a.txt", None, Kind.TEXT),
        ("a.pdf", None, Kind.TEXT),
        ("LICENSE", None, Kind.TEXT),
        ("guide", "text/markdown; charset=utf-8", Kind.MARKDOWN),
        ("guide.md", "text/plain", Kind.MARKDOWN),
        ("guide.md", "text/html", Kind.MARKDOWN),
    ],
)
def test_a_texts_name_tells_its_kind_and_its_media_type_where_the_name_is_silent(
    path: str, media_type: str | None, kind: Kind
) -> None:
    assert kind_of(b"Words about things.", path, media_type) is kind


def test_a_part_of_a_page_is_html_if_it_is_called_so() -> None:
    assert kind_of(b"<p>Words.</p>", "page.html", None) is Kind.HTML
    assert kind_of(b"<p>Words.</p>", "page", "text/html; charset=utf-8") is Kind.HTML
    assert kind_of(b"<p>Words.</p>", "page.txt", None) is Kind.TEXT


def test_a_text_without_a_tag_is_no_html_whatever_it_is_called() -> None:
    assert kind_of(b"One line.\nIf a < b, another.", "page.html", "text/html") is Kind.TEXT


def test_markdown_may_begin_with_an_html_element() -> None:
    assert kind_of(b'<div align="center">\n\n# Title', "README.md", None) is Kind.MARKDOWN


def test_a_text_may_speak_of_the_header_of_a_pdf() -> None:
    assert kind_of(b"A file begins with %PDF-1.7 and so on.", "pdf.md", None) is Kind.MARKDOWN


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n....", "a PNG picture"),
        (zipped({"xl/workbook.xml": "<workbook/>"}), "a zip file, and not a .docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "an old Office file"),
        (b"\x7fELF....", "a program"),
    ],
)
def test_what_is_no_document_is_refused_by_its_name(data: bytes, reason: str) -> None:
    with pytest.raises(SourceUnusable, match=f"not a document that bRAG can read: it is {reason}"):
        kind_of(data, "notes.md", None)
